#include "load/caller.h"

#include <grpc/grpc_security.h>

#include <optional>
#include <string>
#include <thread>

#include "common/deadline.h"
#include "frames.h"

namespace bench {
namespace {

constexpr char kMethod[] = "/protobuf.StreamService/FetchResponse";

class ChannelArgs {
 public:
  void set(const char* key, int value) {
    grpc_arg arg;
    arg.type = GRPC_ARG_INTEGER;
    arg.key = const_cast<char*>(key);
    arg.value.integer = value;
    args_.push_back(arg);
  }
  void set(const char* key, const std::string& value) {
    grpc_arg arg;
    arg.type = GRPC_ARG_STRING;
    arg.key = const_cast<char*>(key);
    arg.value.string = const_cast<char*>(value.c_str());
    args_.push_back(arg);
  }
  grpc_channel_args get() { return {args_.size(), args_.data()}; }

 private:
  std::vector<grpc_arg> args_;
};

ChannelArgs args_of(const LoadFlags& flags, bool framed) {
  ChannelArgs args;
  args.set(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1);
  // Channels to the same address would share one connection.
  args.set(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (flags.lean) {
    args.set(GRPC_ARG_MINIMAL_STACK, 1);
    args.set(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 1);
    args.set(GRPC_ARG_ENABLE_CHANNELZ, 0);
  }
  if (framed) args.set(frames::kArgument, 1);
  if (flags.window != 0) {
    args.set(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, flags.window);
    args.set(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // it would set another window
  }
  if (!flags.server_name.empty()) args.set(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, flags.server_name);
  return args;
}

grpc_channel_credentials* new_credentials(const LoadFlags& flags) {
  if (!flags.tls()) return grpc_insecure_credentials_create();
  return grpc_ssl_credentials_create_ex(flags.tls_authority.c_str(), nullptr, nullptr, nullptr);
}

bool is_settled(grpc_connectivity_state state) {
  return state != GRPC_CHANNEL_IDLE && state != GRPC_CHANNEL_CONNECTING;
}

}  // namespace

CoreCaller::CoreCaller(const LoadFlags& flags, bool framed)
    : framed_(framed), queue_(grpc_completion_queue_create_for_next(nullptr)) {
  ChannelArgs list = args_of(flags, framed);
  const grpc_channel_args args = list.get();
  grpc_channel_credentials* const credentials = new_credentials(flags);
  for (std::size_t i = 0; i < flags.connections; ++i) {
    grpc_channel* const channel = grpc_channel_create(flags.address.c_str(), credentials, &args);
    connections_.push_back({channel, grpc_channel_register_call(channel, kMethod, nullptr, nullptr)});
  }
  grpc_channel_credentials_release(credentials);
}

CoreCaller::~CoreCaller() {
  calls_.clear();
  for (const Connection& connection : connections_) grpc_channel_destroy(connection.channel);
  grpc_completion_queue_shutdown(queue_);
  while (grpc_completion_queue_next(queue_, gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr).type != GRPC_QUEUE_SHUTDOWN) {
  }
  grpc_completion_queue_destroy(queue_);
}

void CoreCaller::connect() {
  for (const Connection& connection : connections_) grpc_channel_check_connectivity_state(connection.channel, 1);
  for (const Connection& connection : connections_) {
    for (;;) {
      const grpc_connectivity_state state = grpc_channel_check_connectivity_state(connection.channel, 1);
      if (is_settled(state)) break;
      grpc_channel_watch_connectivity_state(connection.channel, state, gpr_inf_future(GPR_CLOCK_MONOTONIC), queue_,
                                            nullptr);
      grpc_completion_queue_next(queue_, gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr);
    }
  }
}

void CoreCaller::make(Run& run, const std::function<void()>& hold) {
  next_ = answered_ = ended_ = 0;
  idle_.clear();
  calls_.clear();
  Call::Observer& observer = *this;
  // A reader that stalls takes one response, so it does not ask for several.
  const bool framed = framed_ && !run.stall();
  for (std::size_t i = 0; i < run.in_flight(); ++i) idle_.push_back(&calls_.emplace_back(observer, framed));

  // In a separate thread: the C-core's flow control works only while a thread polls.
  std::optional<std::thread> holding;
  run.start();
  while (ended_ < run.calls()) {
    start_due(run);
    const bool ramp_goes_on = next_ < run.calls() && !idle_.empty();
    poll(ramp_goes_on ? deadline_of(run.due(next_)) : gpr_inf_future(GPR_CLOCK_MONOTONIC));
    if (run.stall() && answered_ == run.calls() && !holding) {
      holding.emplace([this, &hold] {
        hold();
        for (Call& call : calls_) call.cancel();
      });
    }
  }
  if (holding) holding->join();
}

void CoreCaller::start_due(Run& run) {
  while (next_ < run.calls() && !idle_.empty() && (!run.ramped() || run.due(next_) <= Clock::now())) {
    Call& call = *idle_.back();
    idle_.pop_back();
    const Connection& connection = connections_[next_ % connections_.size()];
    call.start(connection.channel, connection.method, queue_, run.call(next_), run.stall());
    ++next_;
  }
}

void CoreCaller::ended(Call& call) {
  ++ended_;
  idle_.push_back(&call);
}

void CoreCaller::poll(gpr_timespec deadline) {
  const grpc_event event = grpc_completion_queue_next(queue_, deadline, nullptr);
  if (event.type == GRPC_OP_COMPLETE) (*static_cast<Completion*>(event.tag))(event.success != 0);
}

}  // namespace bench
