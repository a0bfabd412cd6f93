// Role: a time of std::chrono as gRPC's timers take it.

#pragma once

#include <grpc/support/time.h>

#include <chrono>

namespace bench {

// By the time that is left: the C-core's monotonic clock is ahead of std::chrono's by five seconds. A deadline that it
// takes for past makes its queue return at once, and the thread spin. Its timers round up to a whole millisecond.
inline gpr_timespec deadline_of(std::chrono::steady_clock::time_point time) {
  const std::chrono::nanoseconds left = time - std::chrono::steady_clock::now();
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(left.count(), GPR_TIMESPAN));
}

}  // namespace bench
