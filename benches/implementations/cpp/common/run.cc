#include "common/run.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace bench {
namespace {

using Micros = std::vector<std::int64_t>;

constexpr int kOk = 0;
constexpr const char* kStatusNames[] = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

std::string status_name(int status) {
  const bool known = status >= 0 && status < static_cast<int>(std::size(kStatusNames));
  return known ? kStatusNames[status] : std::to_string(status);
}

std::int64_t micros(Clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

Micros first_waits(const std::vector<CallRecord>& calls) {
  Micros waits;
  for (const CallRecord& call : calls) {
    if (!call.arrivals().empty()) waits.push_back(micros(call.arrivals().front() - call.started()));
  }
  return waits;
}

Micros gaps(const std::vector<CallRecord>& calls) {
  Micros gaps;
  for (const CallRecord& call : calls) {
    const auto& arrivals = call.arrivals();
    for (std::size_t j = 1; j < arrivals.size(); ++j) gaps.push_back(micros(arrivals[j] - arrivals[j - 1]));
  }
  return gaps;
}

// Counts only responses that were due after the last call had started: until then the client is busy opening calls.
Micros lateness(const std::vector<CallRecord>& calls, Clock::duration step) {
  Clock::time_point last_start{};
  for (const CallRecord& call : calls) last_start = std::max(last_start, call.started());
  Micros lateness;
  for (const CallRecord& call : calls) {
    Clock::time_point due = call.started();
    for (const Clock::time_point arrival : call.arrivals()) {
      if (due > last_start) lateness.push_back(micros(arrival - due));
      due += step;
    }
  }
  return lateness;
}

}  // namespace

void CallRecord::observe(std::string_view result) {
  if (keep_arrivals_) arrivals_.push_back(Clock::now());
  if (print_) {
    std::string line = std::to_string(id_);
    line += '\t';
    line += result;
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), stdout);  // one call: lines of several threads stay whole
  }
}

Run::Run(const LoadFlags& flags, std::size_t calls, std::size_t in_flight)
    : records_(calls), in_flight_(std::min(in_flight, calls)) {
  std::int32_t id = flags.id;
  for (CallRecord& call : records_) {
    call.id_ = id;
    id = static_cast<std::int32_t>(static_cast<std::uint32_t>(id) + 1);
  }
}

Run Run::warm_up(const LoadFlags& flags) {
  return Run(flags, flags.warm_up, std::max(flags.in_flight, flags.connections));
}

Run Run::measured(const LoadFlags& flags) {
  // A stalled call never makes room for another one.
  Run run(flags, flags.calls, flags.stall ? flags.calls : flags.in_flight);
  run.ramp_ = flags.ramp;
  run.stall_ = flags.stall;
  for (CallRecord& call : run.records_) {
    call.print_ = flags.print;
    call.keep_arrivals_ = flags.samples || flags.step.count() != 0;
    call.observed_ = call.print_ || call.keep_arrivals_;
  }
  return run;
}

std::string summary(const LoadFlags& flags, const Run& run) {
  const std::vector<CallRecord>& calls = run.records();
  std::map<std::string, std::uint64_t> statuses;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  Clock::time_point first = calls.front().started();
  Clock::time_point last = first;
  for (const CallRecord& call : calls) {
    ++statuses[status_name(call.status())];
    messages += call.messages();
    bytes += call.bytes();
    first = std::min(first, call.started());
    last = std::max(last, call.ended());
  }
  nlohmann::ordered_json line = {
      {"calls", calls.size()},
      {"statuses", statuses},
      {"messages", messages},
      {"bytes", bytes},
      {"seconds", std::chrono::duration<double>(last - first).count()},
  };
  if (flags.samples) {
    line["first_us"] = first_waits(calls);
    line["gap_us"] = gaps(calls);
  }
  if (flags.step.count() != 0) line["late_us"] = lateness(calls, flags.step);
  return line.dump();
}

bool all_ok(const Run& run) {
  return std::all_of(run.records().begin(), run.records().end(),
                     [](const CallRecord& call) { return call.status() == kOk; });
}

}  // namespace bench
