// Role: schedules the calls of one run of a load client and records their results. It makes no call itself: a Caller
// asks it for calls and reports their results.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/flags.h"

namespace bench {

using Clock = std::chrono::steady_clock;

// The record of one call. One thread at a time may use it.
class CallRecord {
 public:
  // Just before the call is made.
  void begin() { started_ = Clock::now(); }

  // For each response, where a user of the library gets it.
  void response(std::string_view result) {
    ++messages_;
    bytes_ += result.size();
    if (observed_) observe(result);
  }

  // The status as a number, the same in all gRPC libraries.
  void end(int status) {
    status_ = status;
    ended_ = Clock::now();
  }

  std::int32_t id() const { return id_; }
  std::uint64_t messages() const { return messages_; }
  std::uint64_t bytes() const { return bytes_; }
  int status() const { return status_; }
  Clock::time_point started() const { return started_; }
  Clock::time_point ended() const { return ended_; }
  const std::vector<Clock::time_point>& arrivals() const { return arrivals_; }

 private:
  friend class Run;

  void observe(std::string_view result);

  std::int32_t id_ = 0;
  int status_ = 0;
  // False where a response is only counted.
  bool observed_ = false;
  bool print_ = false;
  bool keep_arrivals_ = false;
  std::uint64_t messages_ = 0;
  std::uint64_t bytes_ = 0;
  Clock::time_point started_;
  Clock::time_point ended_;
  std::vector<Clock::time_point> arrivals_;
};

class Run {
 public:
  // The warm-up calls: nothing is printed or sampled, and each connection has one at a time.
  static Run warm_up(const LoadFlags& flags);
  // The measured calls.
  static Run measured(const LoadFlags& flags);

  // Starts the clock of the ramp.
  void start() { started_ = Clock::now(); }

  std::size_t calls() const { return records_.size(); }
  // No more than there are calls.
  std::size_t in_flight() const { return in_flight_; }
  // Each call reads one response and no further.
  bool stall() const { return stall_; }
  // Whether calls start at fixed times instead of as soon as another one ends.
  bool ramped() const { return ramp_.count() != 0; }
  // The earliest start of call `index`.
  Clock::time_point due(std::size_t index) const {
    return started_ + ramp_ * static_cast<std::int64_t>(index) / static_cast<std::int64_t>(calls());
  }

  CallRecord& call(std::size_t index) { return records_[index]; }
  const std::vector<CallRecord>& records() const { return records_; }

 private:
  Run(const LoadFlags& flags, std::size_t calls, std::size_t in_flight);

  std::vector<CallRecord> records_;
  std::size_t in_flight_;
  std::chrono::nanoseconds ramp_{0};
  bool stall_ = false;
  Clock::time_point started_;
};

// The summary: one line of JSON. The run has at least one call.
std::string summary(const LoadFlags& flags, const Run& run);

// Whether each call ended with OK.
bool all_ok(const Run& run);

}  // namespace bench
