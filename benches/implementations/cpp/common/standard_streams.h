// Role: the lines that a program exchanges with the one that started it.

#pragma once

#include <string>

namespace bench {

// Prints a line on standard output and flushes it.
void say(const std::string& line);

// Waits for a line on standard input; false if it ends instead.
bool await_line();

void await_end_of_input();

}  // namespace bench
