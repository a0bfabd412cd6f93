// Role: the process of the load client on the C-core: flags in, exit code out.

#include <grpc/grpc.h>

#include <CLI/CLI.hpp>

#include "common/flags.h"
#include "common/load_process.h"
#include "load/caller.h"

int main(int argc, char** argv) {
  bench::LoadFlags flags;
  CLI::App app("The load client straight on gRPC's C-core: one thread, one completion queue.");
  flags.declare(app);
  bench::parse_or_exit(app, argc, argv);

  grpc_init();
  int code = 0;
  {
    bench::CoreCaller caller(flags);
    code = bench::run_load(flags, caller);
  }
  grpc_shutdown();
  return code;
}
