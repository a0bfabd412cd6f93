#include "load/call.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/log.h>

#include "frames.h"
#include "message.h"
#include "wire.h"

namespace bench {
namespace {

grpc_byte_buffer* new_request(std::int32_t id) {
  std::uint8_t encoded[wire::kRequestMost];
  const std::size_t size = wire::write_request(encoded, id);
  grpc_slice slice = grpc_slice_from_copied_buffer(reinterpret_cast<const char*>(encoded), size);
  grpc_byte_buffer* const request = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  return request;
}

}  // namespace

Call::Call(Observer& observer, bool framed)
    : observer_(observer),
      framed_(framed),
      status_details_(grpc_empty_slice()),
      received_(completion_of<&Call::received>(this)),
      status_arrived_(completion_of<&Call::status_arrived>(this)) {
  grpc_metadata_array_init(&initial_metadata_);
  grpc_metadata_array_init(&trailing_metadata_);
}

Call::~Call() {
  if (call_ != nullptr) grpc_call_unref(call_);
  grpc_slice_unref(status_details_);
  grpc_metadata_array_destroy(&initial_metadata_);
  grpc_metadata_array_destroy(&trailing_metadata_);
}

void Call::start(grpc_channel* channel, void* method, grpc_completion_queue* queue, CallRecord& record, bool stall) {
  if (call_ != nullptr) grpc_call_unref(call_);
  record_ = &record;
  stall_ = stall;
  reading_ = has_status_ = answered_ = garbled_ = false;
  record.begin();
  call_ = grpc_channel_create_registered_call(channel, nullptr, GRPC_PROPAGATE_DEFAULTS, queue, method,
                                              gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr);
  send_request_and_read();
  await_status();
}

void Call::cancel() { grpc_call_cancel(call_, nullptr); }

// One batch for everything before the second response: it completes with the first response.
void Call::send_request_and_read() {
  grpc_byte_buffer* const request = new_request(record_->id());
  grpc_op ops[5]{};
  ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
  ops[1].op = GRPC_OP_SEND_MESSAGE;
  ops[1].data.send_message.send_message = request;
  if (framed_) ops[1].flags = frames::kMark;
  ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
  ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
  ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial_metadata_;
  ops[4].op = GRPC_OP_RECV_MESSAGE;
  ops[4].data.recv_message.recv_message = &message_;
  reading_ = true;
  const grpc_call_error error = grpc_call_start_batch(call_, ops, 5, &received_, nullptr);
  GPR_ASSERT(error == GRPC_CALL_OK);
  grpc_byte_buffer_destroy(request);  // the C-core has taken its contents
}

void Call::await_status() {
  grpc_slice_unref(status_details_);
  status_details_ = grpc_empty_slice();
  grpc_op op{};
  op.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
  op.data.recv_status_on_client.trailing_metadata = &trailing_metadata_;
  op.data.recv_status_on_client.status = &status_;
  op.data.recv_status_on_client.status_details = &status_details_;
  const grpc_call_error error = grpc_call_start_batch(call_, &op, 1, &status_arrived_, nullptr);
  GPR_ASSERT(error == GRPC_CALL_OK);
}

void Call::read() {
  reading_ = true;
  grpc_op op{};
  op.op = GRPC_OP_RECV_MESSAGE;
  op.data.recv_message.recv_message = &message_;
  const grpc_call_error error = grpc_call_start_batch(call_, &op, 1, &received_, nullptr);
  GPR_ASSERT(error == GRPC_CALL_OK);
}

void Call::received(bool ok) {
  reading_ = false;
  const bool more = ok && message_ != nullptr;
  if (more) {
    if (!take_message()) {
      garbled_ = true;
      cancel();
    }
  }
  if (message_ != nullptr) {
    grpc_byte_buffer_destroy(message_);
    message_ = nullptr;
  }
  if (more && !stall_) read();
  if (!answered_) {
    answered_ = true;
    observer_.answered();
  }
  end_if_over();
}

bool Call::take_message() {
  if (!framed_) {
    const Message response(message_);
    return take_response(response.begin(), response.end());
  }
  frames::Reader reader(*message_);
  while (reader.more()) {
    std::string_view response;
    if (!reader.message(response)) return false;
    const auto* const begin = reinterpret_cast<const std::uint8_t*>(response.data());
    if (!take_response(begin, begin + response.size())) return false;
  }
  return true;
}

bool Call::take_response(const std::uint8_t* begin, const std::uint8_t* end) {
  std::string_view result;
  if (!wire::read_response(begin, end, result)) return false;
  record_->response(result);
  return true;
}

void Call::status_arrived(bool) {
  has_status_ = true;
  end_if_over();
}

void Call::end_if_over() {
  if (!has_status_ || reading_) return;
  record_->end(garbled_ ? GRPC_STATUS_INTERNAL : status_);
  observer_.ended(*this);
}

}  // namespace bench
