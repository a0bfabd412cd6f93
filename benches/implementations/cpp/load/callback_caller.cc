#include "load/callback_caller.h"

#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "common/deadline.h"

namespace bench {
namespace {

// The state that the reactors of one run share.
class Turns {
 public:
  explicit Turns(Run& run) : run_(run) {}

  // The next call to make, if one is left.
  std::optional<std::size_t> next() {
    const std::lock_guard lock(mutex_);
    if (next_ == run_.calls()) return std::nullopt;
    return next_++;
  }
  void answered() { count(answered_); }
  void ended() { count(ended_); }

  void await_answers() { await(answered_); }
  void await_ends() { await(ended_); }

 private:
  // Notifies with the lock held: the waiting thread may then destroy this object.
  void count(std::size_t& what) {
    const std::lock_guard lock(mutex_);
    if (++what == run_.calls()) complete_.notify_all();
  }
  void await(const std::size_t& what) {
    std::unique_lock lock(mutex_);
    complete_.wait(lock, [&] { return what == run_.calls(); });
  }

  Run& run_;
  std::mutex mutex_;
  std::condition_variable complete_;
  std::size_t next_ = 0;
  std::size_t answered_ = 0;
  std::size_t ended_ = 0;
};

// Makes one call after the other.
class Responses final : public grpc::ClientReadReactor<protobuf::Response> {
 public:
  Responses(Channels& channels, Run& run, Turns& turns) : channels_(channels), run_(run), turns_(turns) {}

  void start_when_due(std::size_t index) {
    if (!run_.ramped() || run_.due(index) <= Clock::now()) {
      start(index);
    } else {
      alarm_.Set(deadline_of(run_.due(index)), [this, index](bool) { start(index); });
    }
  }

  void OnReadDone(bool ok) override {
    if (ok) record_->response(response_.result());
    if (run_.stall()) {
      turns_.answered();  // it reads only once
    } else if (ok) {
      StartRead(&response_);
    }
  }

  void OnDone(const grpc::Status& status) override {
    record_->end(status.error_code());
    const std::optional<std::size_t> next = turns_.next();
    turns_.ended();  // without calls left, this object may be destroyed now
    if (next) start_when_due(*next);
  }

  void cancel() {
    context_->TryCancel();
    RemoveHold();
  }

 private:
  void start(std::size_t index) {
    record_ = &run_.call(index);
    request_.set_id(record_->id());
    context_.emplace();
    record_->begin();
    channels_.stub(index).async()->FetchResponse(&*context_, &request_, this);
    // A hold delays OnDone until it is removed.
    if (run_.stall()) AddHold();
    StartRead(&response_);
    StartCall();
  }

  Channels& channels_;
  Run& run_;
  Turns& turns_;
  CallRecord* record_ = nullptr;
  std::optional<grpc::ClientContext> context_;
  protobuf::Request request_;
  protobuf::Response response_;
  grpc::Alarm alarm_;
};

}  // namespace

void CallbackCaller::make(Run& run, const std::function<void()>& hold) {
  run.start();
  Turns turns(run);
  std::deque<Responses> reactors;
  for (std::size_t i = 0; i < run.in_flight(); ++i) {
    const std::optional<std::size_t> index = turns.next();
    if (!index) break;  // calls that have ended already took the rest
    reactors.emplace_back(channels_, run, turns).start_when_due(*index);
  }
  if (run.stall()) {
    turns.await_answers();
    hold();
    for (Responses& reactor : reactors) reactor.cancel();
  }
  turns.await_ends();
}

}  // namespace bench
