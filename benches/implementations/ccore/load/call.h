// Role: one call of FetchResponse on the client, from its first batch to its status: a state machine driven by the
// events of the completion queue. It reads one message at a time, as the C-core requires; with frames, one sequence.

#pragma once

#include <grpc/grpc.h>

#include <cstdint>

#include "common/run.h"
#include "completion.h"

namespace bench {

class Call {
 public:
  // Notified on the thread that polls the completion queue.
  class Observer {
   public:
    // The call has its first response, or has ended without one.
    virtual void answered() = 0;
    // The call has ended and may be started again.
    virtual void ended(Call& call) = 0;

   protected:
    ~Observer() = default;
  };

  // `framed`: its responses may arrive together (frames.h).
  Call(Observer& observer, bool framed);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Starts over, as the next of its run. `method` is that of `channel`, registered.
  void start(grpc_channel* channel, void* method, grpc_completion_queue* queue, CallRecord& record, bool stall);
  // From any thread, but not while the call is being started.
  void cancel();

 private:
  void send_request_and_read();
  void await_status();
  void read();
  void received(bool ok);
  // False if it is malformed.
  bool take_message();
  bool take_response(const std::uint8_t* begin, const std::uint8_t* end);
  void status_arrived(bool ok);
  void end_if_over();

  Observer& observer_;
  const bool framed_;
  CallRecord* record_ = nullptr;
  grpc_call* call_ = nullptr;
  bool stall_ = false;
  // A message is being read: the status may come before it is known that there is none.
  bool reading_ = false;
  bool has_status_ = false;
  bool answered_ = false;
  // A response was malformed, and the call was cancelled.
  bool garbled_ = false;

  grpc_metadata_array initial_metadata_;
  grpc_metadata_array trailing_metadata_;
  grpc_byte_buffer* message_ = nullptr;
  grpc_status_code status_ = GRPC_STATUS_UNKNOWN;
  grpc_slice status_details_;

  Completion received_;
  Completion status_arrived_;
};

}  // namespace bench
