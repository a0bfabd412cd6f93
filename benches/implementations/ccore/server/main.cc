// Role: the process of the server on the C-core: flags in, exit code out.

#include <grpc/grpc.h>
#include <grpc/slice.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "common/flags.h"
#include "common/produce.h"
#include "common/server_process.h"
#include "frames.h"
#include "server/response.h"
#include "server/server.h"

namespace {

std::uint64_t make_responses(const bench::ServerFlags& flags, int responses) {
  bench::Slab slab;
  std::uint64_t bytes = 0;
  for (int k = 0; k < responses; ++k) {
    const bench::ResponseText text(1, k);
    const std::size_t size = text.size(flags.size);
    const grpc_slice response = bench::new_response(slab, text, size);
    bench::keep(response);
    grpc_slice_unref(response);
    bytes += size;
  }
  return bytes;
}

int serve(const bench::ServerFlags& flags, bool framed) {
  bench::Server server(flags, framed);
  const int port = server.listen();
  if (port == 0) {
    std::fprintf(stderr, "--listen %s: cannot listen there, or the certificate and key do not fit\n",
                 flags.listen.c_str());
    return EXIT_FAILURE;
  }
  std::thread stop = bench::on_stop_signal([&server] { server.shut_down(); });
  bench::announce(flags.listen, port);
  if (flags.log_calls) bench::log_start();
  server.serve();
  stop.join();
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  bench::ServerFlags flags;
  CLI::App app("The streaming server straight on gRPC's C-core: one thread, one completion queue.");
  flags.declare(app);
  bool framed = false;
  app.add_flag_callback("--framed", [&] { framed = flags.lean = true; },
                        "small responses that are due pass the C-core as one message; implies --lean");
  bench::parse_or_exit(app, argc, argv);

  bench::hold_stop_signals();
  grpc_init();
  if (framed && !bench::frames::are_known()) {
    std::fprintf(stderr, "--framed: this C-core lacks scripts/ccore/0010-framed-messages.patch\n");
    return EXIT_FAILURE;
  }
  const auto make = [&flags](int responses) { return make_responses(flags, responses); };
  const int code = flags.produce == 0 ? serve(flags, framed) : bench::run_produce(flags.produce, make);
  grpc_shutdown();
  return code;
}
