#include "common/flags.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

#include "absl/time/time.h"

namespace bench {
namespace {

constexpr int kWrongUsage = 2;

void add_duration(CLI::App& app, const std::string& flag, std::chrono::nanoseconds& into, const std::string& help) {
  auto parse = [flag, &into](const std::string& text) {
    absl::Duration parsed;
    if (!absl::ParseDuration(text, &parsed) || parsed < absl::ZeroDuration() || parsed == absl::InfiniteDuration()) {
      throw CLI::ValidationError(flag, "'" + text + "' is no duration such as 0s, 2ms or 1s");
    }
    into = absl::ToChronoNanoseconds(parsed);
  };
  app.add_option_function<std::string>(flag, parse, help)->type_name("DURATION");
}

void add_file(CLI::App& app, const std::string& flag, std::string& content, const std::string& help) {
  auto read = [flag, &content](const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (!file || !(text << file.rdbuf())) {
      throw CLI::ValidationError(flag, "cannot read " + path + ", or it is empty");
    }
    content = text.str();
  };
  app.add_option_function<std::string>(flag, read, help)->type_name("FILE");
}

void add_count(CLI::App& app, const std::string& flag, std::size_t& into, std::size_t least, const std::string& help) {
  constexpr std::size_t kMost = std::numeric_limits<std::int32_t>::max();
  app.add_option(flag, into, help)->check(CLI::Range(least, kMost))->type_name("N");
}

}  // namespace

void ServerFlags::declare(CLI::App& app) {
  app.option_defaults()->always_capture_default();
  app.add_option("--listen", listen, "address; port 0 picks one")->type_name("HOST:PORT");
  app.add_option("--responses", responses, "responses to a request")->check(CLI::NonNegativeNumber)->type_name("N");
  add_duration(app, "--step", step, "response k comes k steps after the request (1s)");
  app.add_option("--size", size, "of each result; 0 leaves the text as it is")
      ->check(CLI::Range(std::size_t{0}, std::size_t{1} << 30))
      ->type_name("BYTES");
  auto set_level = [this](const std::string& level) { log_calls = level == "info" || level == "debug"; };
  app.add_option_function<std::string>("--log-level", set_level, "least severe to log (info)")
      ->check(CLI::IsMember(std::vector<std::string>{"error", "warn", "info", "debug"}))
      ->type_name("LEVEL");
  app.add_flag("--lean", lean, "without channelz and the message-size filter; the service checks the request");
  app.add_option("--produce", produce,
                 "make N responses without sending them, and exit; for the audit of scripts/compare")
      ->check(CLI::PositiveNumber)
      ->default_str("")
      ->type_name("N");
  add_file(app, "--tls-cert", tls_certificate, "PEM; serves TLS");
  add_file(app, "--tls-key", tls_key, "PEM, the certificate's");
  app.get_option("--tls-cert")->needs("--tls-key");
  app.get_option("--tls-key")->needs("--tls-cert");
}

void LoadFlags::declare(CLI::App& app) {
  app.option_defaults()->always_capture_default();
  app.add_option("--addr", address, "of the server")->type_name("HOST:PORT");
  app.add_option("--id", id, "call i asks for id N + i")->type_name("N");
  add_count(app, "--calls", calls, 1, "calls in all");
  add_count(app, "--in-flight", in_flight, 1, "calls open at the same time");
  add_count(app, "--connections", connections, 1, "call i uses connection i mod N");
  add_duration(app, "--ramp", ramp, "call i starts no sooner than i / calls of this after the first");
  add_count(app, "--warm-up", warm_up, 0, "calls before the measured ones (as many as connections)");
  app.get_option("--warm-up")->default_str("");
  add_duration(app, "--step", step, "the server's; the summary has late_us");
  app.add_flag("--print", print, "each response as a line ID<TAB>RESULT");
  app.add_flag("--samples", samples, "the summary has first_us and gap_us");
  app.add_flag("--stall", stall, "each call takes one response and reads no further, until standard input ends");
  app.add_option("--window", window, "HTTP/2 initial window of each stream; 0 is the library's default")
      ->check(CLI::NonNegativeNumber)
      ->type_name("BYTES");
  app.add_flag("--lean", lean, "without channelz and the filters for message size and retries");
  add_file(app, "--tls-ca", tls_authority, "PEM; TLS, trusting this authority alone");
  app.add_option("--server-name", server_name, "that the certificate is for")->needs("--tls-ca")->type_name("NAME");
  app.parse_complete_callback([this, &app] {
    if (app.count("--warm-up") == 0) warm_up = connections;
  });
}

void parse_or_exit(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? EXIT_SUCCESS : kWrongUsage);
  }
}

}  // namespace bench
