// Role: ends calls of unknown methods, which the C-core leaves open until the server takes them.

#pragma once

#include <grpc/grpc.h>

#include "completion.h"

namespace bench {

class Refusal {
 public:
  // Requests a call and ends it with UNIMPLEMENTED; deletes itself.
  static void await_call(grpc_server* server, grpc_completion_queue* queue);

 private:
  Refusal(grpc_server* server, grpc_completion_queue* queue);
  ~Refusal();

  void arrived(bool ok);
  void sent(bool ok);

  grpc_server* server_;
  grpc_completion_queue* queue_;
  grpc_call* call_ = nullptr;
  grpc_call_details details_;
  grpc_metadata_array metadata_;
  Completion arrived_;
  Completion sent_;
};

}  // namespace bench
