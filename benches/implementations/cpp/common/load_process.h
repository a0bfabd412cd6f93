// Role: the process of a load client, step by step, with the protocol of benches/README.md. It uses standard input and
// output and must not know how calls are made.

#pragma once

#include <functional>

#include "common/flags.h"
#include "common/run.h"

namespace bench {

// Makes calls with one library.
class Caller {
 public:
  virtual ~Caller() = default;

  // Blocks until each connection is open or has failed; calls on a failed connection fail.
  virtual void connect() = 0;

  // Makes the calls of a run and blocks until each has ended. If the run stalls, `hold` is called when each call has its
  // first response or has ended; calls that are open when it returns are cancelled.
  virtual void make(Run& run, const std::function<void()>& hold) = 0;
};

// Blocks until standard input ends; returns the exit code.
int run_load(const LoadFlags& flags, Caller& caller);

}  // namespace bench
