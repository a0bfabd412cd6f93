// Role: one call of FetchResponse on the server, from the request for a call to the release of its last resource: a
// state machine driven by the events of the completion queue. It runs on the server's only thread and never blocks.

#pragma once

#include <grpc/grpc.h>

#include <chrono>
#include <cstdint>

#include "completion.h"
#include "server/timers.h"

namespace bench {

class Server;

class Stream {
 public:
  // Requests a call. The stream deletes itself when its call has ended.
  static void await_call(Server& server) { (new Stream(server))->request(); }

  // The next response is due.
  void due();

 private:
  explicit Stream(Server& server);
  ~Stream();

  void request();
  void arrived(bool ok);
  void sent(bool ok);
  void closed(bool ok);

  bool read_request();
  void watch_for_cancellation();
  void send_or_wait();
  void send();
  void refuse(grpc_status_code code, const char* why);
  // Adds the next response to the message, and with --framed the due ones behind it; returns the flags of the send.
  std::uint32_t add_responses();
  grpc_slice join_responses(std::size_t largest_frame);
  grpc_slice next_response();
  void response_is_added();
  void start(const grpc_op* ops, std::size_t count, Completion& completion);
  void end_if_idle();

  std::chrono::steady_clock::time_point due_time(int number) const;
  bool is_due(int number) const;

  Server& server_;
  grpc_call* call_ = nullptr;
  grpc_byte_buffer* payload_ = nullptr;
  // Emptied by each send, and filled again for the next.
  grpc_byte_buffer* message_;
  grpc_metadata_array metadata_;
  gpr_timespec deadline_;
  std::chrono::steady_clock::time_point began_;
  std::int32_t id_ = 0;
  // Responses handed to the C-core.
  int sent_ = 0;
  bool metadata_sent_ = false;
  // The C-core has every response and the status, or the call has failed: nothing is left to send.
  bool ended_ = false;
  bool waiting_ = false;
  Timers<Stream>::Entry timer_;  // while waiting_
  int cancelled_ = 0;
  // Batches that the completion queue still holds; without any, and with ended_, the stream is done.
  int pending_ = 0;

  Completion arrived_;
  Completion sent_completion_;
  Completion closed_;
};

}  // namespace bench
