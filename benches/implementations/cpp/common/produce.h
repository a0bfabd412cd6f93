// Role: a server's flag --produce: responses are made but not sent, so that the audit of scripts/compare can measure
// what they cost beside gRPC.

#pragma once

#include <cstdint>
#include <functional>

namespace bench {

// `make` makes so many responses, one after the other as a call does, and returns the bytes of their results. It runs
// twice: to warm up, and when a line on standard input asks for it. Returns the exit code.
int run_produce(int responses, const std::function<std::uint64_t(int responses)>& make);

// The compiler must assume that `value` is read, so it cannot leave out what made it.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

}  // namespace bench
