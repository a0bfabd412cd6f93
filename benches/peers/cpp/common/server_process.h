// Role: what a server's process does beside serving: the address it announces, the tutorial's log lines, SIGTERM.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace peers {

// The line `listening on HOST:PORT`, with the port that was bound.
void announce(const std::string& listen, int port);

void log_start();
void log_request(std::int32_t id);
void log_response(int number);

// Keeps SIGTERM and SIGINT from ending the process where they arrive. To be called before any thread is made, since
// threads inherit it.
void hold_stop_signals();

// Calls `stop` at the first of them, in the thread that is returned; there it ends.
std::thread on_stop_signal(std::function<void()> stop);

}  // namespace peers
