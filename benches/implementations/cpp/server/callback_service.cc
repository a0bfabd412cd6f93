#include "server/callback_service.h"

#include <grpcpp/alarm.h>

#include <chrono>
#include <mutex>
#include <optional>

#include "common/deadline.h"
#include "common/server_process.h"
#include "server/hint.h"
#include "server/request_size.h"
#include "server/response.h"

namespace bench {
namespace {

using Clock = std::chrono::steady_clock;

class Responses final : public grpc::ServerWriteReactor<protobuf::Response> {
 public:
  Responses(const ServerFlags& flags, int flush_every, std::int32_t id)
      : flags_(flags), flush_every_(flush_every), id_(id) {
    if (flags_.log_calls) log_request(id_);
    next();
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      next();
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }

  // The alarm's callback then ends the call.
  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (alarm_) alarm_->Cancel();
  }

  void OnDone() override { delete this; }

 private:
  void next() {
    if (next_ == flags_.responses) {
      Finish(grpc::Status::OK);
    } else if (is_due()) {
      write();
    } else {
      wait();
    }
  }

  void write() {
    const int number = next_++;
    make_response(response_, id_, number, flags_.size);
    if (flags_.log_calls) log_response(number);
    const grpc::WriteOptions options = write_options(number, flags_, flush_every_);
    if (options.is_last_message()) {
      StartWriteAndFinish(&response_, options, grpc::Status::OK);
    } else {
      StartWrite(&response_, options);
    }
  }

  void wait() {
    std::unique_lock lock(mutex_);
    if (cancelled_) {
      lock.unlock();
      Finish(grpc::Status::CANCELLED);
      return;
    }
    if (!alarm_) alarm_.emplace();
    alarm_->Set(deadline_of(due_time()), [this](bool due) {
      if (due) {
        write();
      } else {
        Finish(grpc::Status::CANCELLED);
      }
    });
  }

  Clock::time_point due_time() const { return began_ + next_ * flags_.step; }

  bool is_due() const { return flags_.step.count() == 0 || next_ == 0 || due_time() <= Clock::now(); }

  const ServerFlags& flags_;
  const int flush_every_;
  const std::int32_t id_;
  const Clock::time_point began_ = Clock::now();
  int next_ = 0;
  protobuf::Response response_;
  // Between the call's own callbacks and OnCancel: an alarm that is set after it would run its full time.
  std::mutex mutex_;
  bool cancelled_ = false;
  // Made for the first wait: it is an allocation, and its destructor takes a lock of the C-core.
  std::optional<grpc::Alarm> alarm_;
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
