#include "common/server_process.h"

#include <signal.h>

#include <cstdio>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace bench {
namespace {

// As Go's log package stamps a line.
std::string stamp() { return absl::FormatTime("%Y/%m/%d %H:%M:%S", absl::Now(), absl::LocalTimeZone()); }

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

void announce(const std::string& listen, int port) {
  const std::string host = listen.substr(0, listen.rfind(':'));
  std::printf("listening on %s:%d\n", host.c_str(), port);
  std::fflush(stdout);
}

void log_start() { std::fprintf(stderr, "%s start server\n", stamp().c_str()); }

void log_request(std::int32_t id) { std::fprintf(stderr, "%s fetch response for id : %d\n", stamp().c_str(), id); }

void log_response(int number) { std::fprintf(stderr, "%s finishing request number : %d\n", stamp().c_str(), number); }

void hold_stop_signals() {
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

std::thread on_stop_signal(std::function<void()> stop) {
  return std::thread([stop = std::move(stop)] {
    const sigset_t signals = stop_signals();
    int arrived = 0;
    sigwait(&signals, &arrived);
    stop();
  });
}

}  // namespace bench
