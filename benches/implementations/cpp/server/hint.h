// Role: decides how the responses of a call leave, where gRPC C++ is tuned: which ones may wait in the C-core for the
// next one, and that the status leaves with the last one.

#pragma once

#include <grpcpp/impl/call_op_set.h>

#include "common/flags.h"

namespace bench {

// With `flush_every` 1, responses leave one by one and the status behind them, as most users write it. Otherwise those
// that are due at once have gRPC's buffer hint, except for one in `flush_every`: a hint on every response would hang,
// because the first one carries the headers and no write completes before they are sent.
inline grpc::WriteOptions write_options(int number, const ServerFlags& flags, int flush_every) {
  grpc::WriteOptions options;
  if (flush_every == 1) return options;
  if (number + 1 == flags.responses) {
    options.set_last_message();
  } else if (flags.step.count() == 0 && number % flush_every != 0) {
    options.set_buffer_hint();
  }
  return options;
}

}  // namespace bench
