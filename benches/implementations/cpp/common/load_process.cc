#include "common/load_process.h"

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <string>

namespace bench {
namespace {

void say(const std::string& line) {
  std::fwrite((line + '\n').data(), 1, line.size() + 1, stdout);
  std::fflush(stdout);
}

void await_end_of_input() { std::cin.ignore(std::numeric_limits<std::streamsize>::max()); }

}  // namespace

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
  std::string line;
  if (!std::getline(std::cin, line)) {
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
