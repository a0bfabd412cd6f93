#include "server/stream.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice_buffer.h>
#include <grpc/support/log.h>

#include <algorithm>
#include <cstdio>

#include "common/server_process.h"
#include "common/text.h"
#include "frames.h"
#include "message.h"
#include "server/response.h"
#include "server/server.h"
#include "wire.h"

namespace bench {

using Clock = std::chrono::steady_clock;

Stream::Stream(Server& server)
    : server_(server),
      message_(grpc_raw_byte_buffer_create(nullptr, 0)),
      arrived_(completion_of<&Stream::arrived>(this)),
      sent_completion_(completion_of<&Stream::sent>(this)),
      closed_(completion_of<&Stream::closed>(this)) {
  grpc_metadata_array_init(&metadata_);
}

Stream::~Stream() {
  if (payload_ != nullptr) grpc_byte_buffer_destroy(payload_);
  grpc_byte_buffer_destroy(message_);
  grpc_metadata_array_destroy(&metadata_);
  if (call_ != nullptr) grpc_call_unref(call_);
}

void Stream::request() {
  const grpc_call_error error =
      grpc_server_request_registered_call(server_.core(), server_.method(), &call_, &deadline_, &metadata_, &payload_,
                                          server_.queue(), server_.queue(), &arrived_);
  GPR_ASSERT(error == GRPC_CALL_OK);
}

void Stream::arrived(bool ok) {
  if (!ok) {  // the server shuts down
    delete this;
    return;
  }
  await_call(server_);
  if (server_.flags().lean && payload_ != nullptr && grpc_byte_buffer_length(payload_) > kMaxRequestBytes) {
    refuse(GRPC_STATUS_RESOURCE_EXHAUSTED, "Received message larger than max");
    return;
  }
  if (!read_request()) {
    refuse(GRPC_STATUS_INTERNAL, "the request is no protobuf.Request");
    return;
  }
  if (server_.flags().log_calls) log_request(id_);
  if (server_.flags().step.count() != 0) {
    began_ = Clock::now();
    watch_for_cancellation();
  }
  send_or_wait();
}

bool Stream::read_request() {
  if (payload_ == nullptr) return false;
  const Message request(payload_);
  return wire::read_request(request.begin(), request.end(), id_);
}

// Only a waiting stream must be notified: a sending one learns of it from its next send.
void Stream::watch_for_cancellation() {
  grpc_op op{};
  op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
  op.data.recv_close_on_server.cancelled = &cancelled_;
  start(&op, 1, closed_);
}

void Stream::closed(bool) {
  --pending_;
  if (cancelled_ != 0) {
    ended_ = true;
    if (waiting_) {
      server_.timers().cancel(timer_);
      waiting_ = false;
    }
  }
  end_if_idle();
}

void Stream::sent(bool ok) {
  --pending_;
  if (!ok) ended_ = true;
  if (ended_) {
    end_if_idle();
  } else {
    send_or_wait();
  }
}

void Stream::due() {
  waiting_ = false;
  send();
}

void Stream::send_or_wait() {
  if (is_due(sent_) || server_.flags().responses == 0) {
    send();
  } else {
    timer_ = server_.timers().add(due_time(sent_), this);
    waiting_ = true;
  }
}

// One batch: the next response, with --framed all that are due, and with the last one the status.
void Stream::send() {
  grpc_op ops[3]{};
  std::size_t count = 0;
  const bool first = !metadata_sent_;
  if (first) {
    metadata_sent_ = true;
    ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
  }
  const int responses = server_.flags().responses;
  if (sent_ < responses) {
    grpc_op& op = ops[count++];
    op.op = GRPC_OP_SEND_MESSAGE;
    op.flags = add_responses();
    op.data.send_message.send_message = message_;
    // A response that another one follows at once may wait for it; the last one flushes all. The first has no hint: its
    // batch completes only when the headers are sent, and with the hint they would wait too.
    if (!first && sent_ < responses && is_due(sent_)) op.flags |= GRPC_WRITE_BUFFER_HINT;
  }
  if (sent_ == responses) {
    ended_ = true;
    grpc_op& op = ops[count++];
    op.op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    op.data.send_status_from_server.status = GRPC_STATUS_OK;
  }
  start(ops, count, sent_completion_);
}

void Stream::refuse(grpc_status_code code, const char* why) {
  ended_ = true;
  grpc_slice details = grpc_slice_from_static_string(why);
  grpc_op ops[2]{};
  ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
  ops[1].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
  ops[1].data.send_status_from_server.status = code;
  ops[1].data.send_status_from_server.status_details = &details;
  start(ops, 2, sent_completion_);
}

std::uint32_t Stream::add_responses() {
  const std::size_t largest = wire::response_size(ResponseText::most(server_.flags().size));
  const int next = sent_ + 1;
  const bool joins = server_.framed() && largest <= frames::kLargestMessage && next < server_.flags().responses &&
                     is_due(next);
  const grpc_slice slice = joins ? join_responses(frames::kHeader + largest) : next_response();
  grpc_slice_buffer_add(&message_->data.raw.slice_buffer, slice);
  return joins ? frames::kMark : 0;
}

grpc_slice Stream::join_responses(std::size_t largest_frame) {
  const int responses = server_.flags().responses;
  const std::size_t most = std::min(frames::kMost, largest_frame * static_cast<std::size_t>(responses - sent_));
  return server_.slab().take(most, [&](std::uint8_t* const begin) {
    std::uint8_t* end = begin;
    do {
      const ResponseText text(id_, sent_);
      const std::size_t size = text.size(server_.flags().size);
      end = write_response(frames::write_header(end, wire::response_size(size)), text, size);
      response_is_added();
    } while (sent_ < responses && static_cast<std::size_t>(begin + most - end) >= largest_frame && is_due(sent_));
    return static_cast<std::size_t>(end - begin);
  });
}

grpc_slice Stream::next_response() {
  const ResponseText text(id_, sent_);
  response_is_added();
  return new_response(server_.slab(), text, text.size(server_.flags().size));
}

void Stream::response_is_added() {
  if (server_.flags().log_calls) log_response(sent_);
  ++sent_;
}

void Stream::start(const grpc_op* ops, std::size_t count, Completion& completion) {
  ++pending_;
  const grpc_call_error error = grpc_call_start_batch(call_, ops, count, &completion, nullptr);
  GPR_ASSERT(error == GRPC_CALL_OK);
}

void Stream::end_if_idle() {
  if (ended_ && pending_ == 0) delete this;
}

Clock::time_point Stream::due_time(int number) const { return began_ + number * server_.flags().step; }

bool Stream::is_due(int number) const { return server_.flags().step.count() == 0 || due_time(number) <= Clock::now(); }

}  // namespace bench
