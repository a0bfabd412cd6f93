#include "server/callback_service.h"

#include <grpcpp/alarm.h>

#include <chrono>
#include <mutex>

#include "common/server_process.h"
#include "common/text.h"
#include "server/hint.h"
#include "server/request_size.h"

namespace bench {
namespace {

// gRPC's clock for deadlines is the wall clock; the time that is left does not depend on it.
gpr_timespec from_now(std::chrono::steady_clock::duration left) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_nanos(std::chrono::nanoseconds(left).count(), GPR_TIMESPAN));
}

class Responses final : public grpc::ServerWriteReactor<protobuf::Response> {
 public:
  Responses(const ServerFlags& flags, int flush_every, std::int32_t id)
      : flags_(flags), flush_every_(flags.step.count() == 0 ? flush_every : 1), id_(id) {
    if (flags_.log_calls) log_request(id_);
    next();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::CANCELLED);
      return;
    }
    if (flags_.log_calls) log_response(next_ - 1);
    next();
  }

  // The alarm's callback then ends the call.
  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    alarm_.Cancel();
  }

  void OnDone() override { delete this; }

 private:
  void next() {
    if (next_ == flags_.responses) {
      Finish(grpc::Status::OK);
    } else if (flags_.step.count() == 0 || next_ == 0) {
      write();
    } else {
      wait();
    }
  }

  void write() {
    const int number = next_++;
    response_.set_result(result_of(id_, number, flags_.size));
    StartWrite(&response_, write_options(number, flags_.responses, flush_every_));
  }

  void wait() {
    const auto left = began_ + next_ * flags_.step - std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    if (cancelled_) {
      lock.unlock();
      Finish(grpc::Status::CANCELLED);
      return;
    }
    alarm_.Set(from_now(left), [this](bool due) {
      if (due) {
        write();
      } else {
        Finish(grpc::Status::CANCELLED);
      }
    });
  }

  const ServerFlags& flags_;
  const int flush_every_;
  const std::int32_t id_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  int next_ = 0;
  protobuf::Response response_;
  // Between the call's own callbacks and OnCancel: an alarm that is set after it would run its full time.
  std::mutex mutex_;
  bool cancelled_ = false;
  grpc::Alarm alarm_;
};

class Refusal final : public grpc::ServerWriteReactor<protobuf::Response> {
 public:
  explicit Refusal(const grpc::Status& why) { Finish(why); }

  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerWriteReactor<protobuf::Response>* CallbackService::FetchResponse(grpc::CallbackServerContext*,
                                                                             const protobuf::Request* request) {
  if (!is_allowed(*request, flags_)) return new Refusal(too_large());
  return new Responses(flags_, flush_every_, request->id());
}

}  // namespace bench
