#include "server/refusal.h"

#include <grpc/support/log.h>

namespace bench {

void Refusal::await_call(grpc_server* server, grpc_completion_queue* queue) {
  auto* const refusal = new Refusal(server, queue);
  const grpc_call_error error = grpc_server_request_call(server, &refusal->call_, &refusal->details_,
                                                         &refusal->metadata_, queue, queue, &refusal->arrived_);
  GPR_ASSERT(error == GRPC_CALL_OK);
}

Refusal::Refusal(grpc_server* server, grpc_completion_queue* queue)
    : server_(server),
      queue_(queue),
      arrived_(completion_of<&Refusal::arrived>(this)),
      sent_(completion_of<&Refusal::sent>(this)) {
  grpc_call_details_init(&details_);
  grpc_metadata_array_init(&metadata_);
}

Refusal::~Refusal() {
  grpc_call_details_destroy(&details_);
  grpc_metadata_array_destroy(&metadata_);
  if (call_ != nullptr) grpc_call_unref(call_);
}

void Refusal::arrived(bool ok) {
  if (!ok) {  // the server shuts down
    delete this;
    return;
  }
  await_call(server_, queue_);
  grpc_op ops[2]{};
  ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
  ops[1].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
  ops[1].data.send_status_from_server.status = GRPC_STATUS_UNIMPLEMENTED;
  const grpc_call_error error = grpc_call_start_batch(call_, ops, 2, &sent_, nullptr);
  GPR_ASSERT(error == GRPC_CALL_OK);
}

void Refusal::sent(bool) { delete this; }

}  // namespace bench
