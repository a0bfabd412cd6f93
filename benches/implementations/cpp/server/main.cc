// Role: the process of the server in gRPC C++: flags in, exit code out. The APIs are in sync_service.h and
// callback_service.h.

#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "common/flags.h"
#include "common/produce.h"
#include "common/server_process.h"
#include "server/response.h"
#include "server/callback_service.h"
#include "server/sync_service.h"

namespace {

std::shared_ptr<grpc::ServerCredentials> credentials_of(const bench::ServerFlags& flags) {
  if (!flags.tls()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({flags.tls_key, flags.tls_certificate});
  return grpc::SslServerCredentials(options);
}

std::unique_ptr<grpc::Service> service_of(const std::string& api, const bench::ServerFlags& flags, int flush_every) {
  if (api == "sync") return std::make_unique<bench::SyncService>(flags, flush_every);
  return std::make_unique<bench::CallbackService>(flags, flush_every);
}

std::uint64_t make_responses(const bench::ServerFlags& flags, int responses) {
  protobuf::Response response;
  std::uint64_t bytes = 0;
  for (int k = 0; k < responses; ++k) {
    bench::make_response(response, 1, k, flags.size);
    bench::keep(response);
    bytes += response.result().size();
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  bench::ServerFlags flags;
  std::string api = "sync";
  int flush_every = 1;
  CLI::App app("The streaming server in gRPC C++.");
  app.add_option("--api", api, "of gRPC C++")->check(CLI::IsMember({"sync", "callback"}))->type_name("API");
  app.add_option("--flush-every", flush_every,
                 "of N responses all but one carry the buffer hint, and the last one carries the status; 1 is neither")
      ->check(CLI::Range(1, 1 << 30))
      ->type_name("N");
  flags.declare(app);
  bench::parse_or_exit(app, argc, argv);

  if (flags.produce != 0) {
    return bench::run_produce(flags.produce, [&](int responses) { return make_responses(flags, responses); });
  }
  bench::hold_stop_signals();
  const std::unique_ptr<grpc::Service> service = service_of(api, flags, flush_every);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  if (flags.lean) {
    builder.SetMaxReceiveMessageSize(-1);
    builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
    // Not for the synchronous API: its handlers block in the threads that take events.
    if (api == "callback") builder.AddChannelArgument("fanstream.write_before_poll", 1);
  }
  builder.AddListeningPort(flags.listen, credentials_of(flags), &port);
  builder.RegisterService(service.get());
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    std::fprintf(stderr, "--listen %s: cannot listen there, or the certificate and key do not fit\n",
                 flags.listen.c_str());
    return EXIT_FAILURE;
  }
  std::thread stop = bench::on_stop_signal([&] {
    // A sleeping handler of the sync API does not notice the shutdown; it ends with the process.
    if (api == "sync") std::_Exit(EXIT_SUCCESS);
    server->Shutdown(std::chrono::system_clock::now());  // a deadline that has passed: open calls are cancelled
  });
  bench::announce(flags.listen, port);
  if (flags.log_calls) bench::log_start();
  server->Wait();
  stop.join();
  return EXIT_SUCCESS;
}
