// Role: parses and validates the command lines of servers and load clients (benches/README.md). It opens only the files
// that a flag names.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace bench {

// The limit on a request if the C-core's filter is off.
inline constexpr std::size_t kMaxRequestBytes = 4096;

struct ServerFlags {
  std::string listen = "localhost:50005";
  int responses = 5;
  std::chrono::nanoseconds step = std::chrono::seconds(1);
  std::size_t size = 0;
  bool log_calls = true;
  // Without the C-core's message-size filter, like the fanstream server: the service checks the request itself.
  bool lean = false;
  // Responses to make without sending them (produce.h); 0 serves.
  int produce = 0;
  // PEM, both or neither.
  std::string tls_certificate;
  std::string tls_key;

  bool tls() const { return !tls_certificate.empty(); }

  void declare(CLI::App& app);
};

struct LoadFlags {
  std::string address = "localhost:50005";
  std::int32_t id = 1;
  std::size_t calls = 1;
  std::size_t in_flight = 1;
  std::size_t connections = 1;
  std::chrono::nanoseconds ramp{0};
  // Defaults to the number of connections.
  std::size_t warm_up = 0;
  std::chrono::nanoseconds step{0};
  bool print = false;
  bool samples = false;
  bool stall = false;
  int window = 0;
  // With the same filters as the fanstream client: deadlines, but neither message size nor retries.
  bool lean = false;
  // PEM; empty is clear text.
  std::string tls_authority;
  std::string server_name;

  bool tls() const { return !tls_authority.empty(); }

  void declare(CLI::App& app);
};

// Parses, or prints a message and exits: with 0 for --help and 2 for wrong usage.
void parse_or_exit(CLI::App& app, int argc, char** argv);

}  // namespace bench
