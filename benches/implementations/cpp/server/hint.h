// Role: decides which responses carry gRPC's buffer hint, so that they may wait in the C-core for the next one.

#pragma once

#include <grpcpp/impl/call_op_set.h>

namespace bench {

// With `flush_every` 1, no response has the hint. Otherwise one response in `flush_every` is flushed: a hint on every
// response would hang, because the first one carries the headers and no write completes before they are sent.
inline grpc::WriteOptions write_options(int number, int responses, int flush_every) {
  grpc::WriteOptions options;
  const bool last = number + 1 == responses;
  if (number % flush_every != 0 && !last) options.set_buffer_hint();
  return options;
}

}  // namespace bench
