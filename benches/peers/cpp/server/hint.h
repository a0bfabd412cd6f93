// Role: which responses may wait in the C-core for those that follow them (gRPC's buffer hint).

#pragma once

#include <grpcpp/impl/call_op_set.h>

namespace peers {

// With `flush_every` 1 no hint at all, as people write it. Otherwise one response in so many leaves at once: a hint on
// each would hang, since the first one carries the headers, and no write is complete before these have left.
inline grpc::WriteOptions write_options(int number, int responses, int flush_every) {
  grpc::WriteOptions options;
  const bool last = number + 1 == responses;
  if (number % flush_every != 0 && !last) options.set_buffer_hint();
  return options;
}

}  // namespace peers
