#include "common/standard_streams.h"

#include <cstdio>
#include <iostream>
#include <limits>

namespace bench {

void say(const std::string& line) {
  std::fwrite((line + '\n').data(), 1, line.size() + 1, stdout);
  std::fflush(stdout);
}

bool await_line() {
  std::string line;
  return static_cast<bool>(std::getline(std::cin, line));
}

void await_end_of_input() { std::cin.ignore(std::numeric_limits<std::streamsize>::max()); }

}  // namespace bench
