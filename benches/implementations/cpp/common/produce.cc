#include "common/produce.h"

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "common/standard_streams.h"

namespace bench {

int run_produce(int responses, const std::function<std::uint64_t(int responses)>& make) {
  make(responses);
  say("ready");
  if (!await_line()) {
    std::fputs("standard input ended before the line that starts the responses\n", stderr);
    return EXIT_FAILURE;
  }
  const std::uint64_t bytes = make(responses);
  say(nlohmann::ordered_json{{"responses", responses}, {"bytes", bytes}}.dump());
  await_end_of_input();
  return EXIT_SUCCESS;
}

}  // namespace bench
