// Role: the process of a server, apart from serving: the announced address, the tutorial's log lines, SIGTERM.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

namespace bench {

// The line `listening on HOST:PORT`, with the port that was bound.
void announce(const std::string& listen, int port);

void log_start();
void log_request(std::int32_t id);
void log_response(int number);

// Blocks SIGTERM and SIGINT. Call it before any thread is started: threads inherit the mask.
void hold_stop_signals();

// Starts a thread that calls `stop` at the first of these signals and then ends.
std::thread on_stop_signal(std::function<void()> stop);

}  // namespace bench
