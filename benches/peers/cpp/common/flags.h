// Role: the command lines of the servers and load clients, as benches/peers/README.md has them. Parses and checks;
// opens nothing but the files that a flag names.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace peers {

// Of a request, where no filter of the C-core looks at it.
inline constexpr std::size_t kMaxRequestBytes = 4096;

struct ServerFlags {
  std::string listen = "localhost:50005";
  int responses = 5;
  std::chrono::nanoseconds step = std::chrono::seconds(1);
  std::size_t size = 0;
  bool log_calls = true;
  // Without the C-core's message-size filter, as the fanstream server: the service looks at the request itself.
  bool lean = false;
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
  // As many as connections, unless it is given.
  std::size_t warm_up = 0;
  std::chrono::nanoseconds step{0};
  bool print = false;
  bool samples = false;
  bool stall = false;
  int window = 0;
  // With the filters that the fanstream client has: neither message size nor retries, but deadlines.
  bool lean = false;
  // PEM; empty is clear text.
  std::string tls_authority;
  std::string server_name;

  bool tls() const { return !tls_authority.empty(); }

  void declare(CLI::App& app);
};

// Parses; explains itself and exits, with 0 for --help and 2 for wrong usage.
void parse_or_exit(CLI::App& app, int argc, char** argv);

}  // namespace peers
