#include "common/load_process.h"

#include <cstdio>
#include <cstdlib>

#include "common/standard_streams.h"

namespace bench {

int run_load(const LoadFlags& flags, Caller& caller) {
  const auto hold = [] {
    say("stalled");
    await_end_of_input();
  };

  caller.connect();
  if (!flags.stall && flags.warm_up > 0) {
    Run warm_up = Run::warm_up(flags);
    caller.make(warm_up, hold);
  }
  say("ready");
  if (!await_line()) {
    std::fputs("standard input ended before the line that starts the calls\n", stderr);
    return EXIT_FAILURE;
  }
  Run run = Run::measured(flags);
  caller.make(run, hold);
  say(summary(flags, run));
  await_end_of_input();
  return all_ok(run) ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace bench
