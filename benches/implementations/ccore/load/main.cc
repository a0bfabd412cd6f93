// Role: the process of the load client on the C-core: flags in, exit code out.

#include <grpc/grpc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "common/flags.h"
#include "common/load_process.h"
#include "frames.h"
#include "load/caller.h"

int main(int argc, char** argv) {
  bench::LoadFlags flags;
  CLI::App app("The load client straight on gRPC's C-core: one thread, one completion queue.");
  flags.declare(app);
  bool framed = false;
  app.add_flag_callback("--framed", [&] { framed = flags.lean = true; },
                        "takes small responses that have arrived as one message of the C-core; implies --lean");
  bench::parse_or_exit(app, argc, argv);

  grpc_init();
  if (framed && !bench::frames::are_known()) {
    std::fprintf(stderr, "--framed: this C-core lacks scripts/ccore/0010-framed-messages.patch\n");
    return EXIT_FAILURE;
  }
  int code = 0;
  {
    bench::CoreCaller caller(flags, framed);
    code = bench::run_load(flags, caller);
  }
  grpc_shutdown();
  return code;
}
