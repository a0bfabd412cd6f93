// Role: what a load client's process does, step by step, as benches/peers/README.md has it. It knows standard input and
// output; how calls are made is the Caller's.

#pragma once

#include <functional>

#include "common/flags.h"
#include "common/run.h"

namespace peers {

// Makes calls with one library.
class Caller {
 public:
  virtual ~Caller() = default;

  // Blocks until each connection is there, or has failed: then its calls fail.
  virtual void connect() = 0;

  // Makes the calls of a run, and blocks until each has ended. Where the run stalls, `hold` is called when each has its
  // first response, or its end; it blocks, and what is still open when it returns is cancelled.
  virtual void make(Run& run, const std::function<void()>& hold) = 0;
};

// Blocks until standard input ends; returns the exit code.
int run_load(const LoadFlags& flags, Caller& caller);

}  // namespace peers
