// Role: the process of the load client in gRPC C++: flags in, exit code out. The APIs are in sync_caller.h and
// callback_caller.h.

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "common/flags.h"
#include "common/load_process.h"
#include "load/callback_caller.h"
#include "load/sync_caller.h"

namespace {

std::unique_ptr<bench::Caller> caller_of(const std::string& api, const bench::LoadFlags& flags) {
  if (api == "sync") return std::make_unique<bench::SyncCaller>(flags);
  return std::make_unique<bench::CallbackCaller>(flags);
}

}  // namespace

int main(int argc, char** argv) {
  bench::LoadFlags flags;
  std::string api = "sync";
  CLI::App app("The load client in gRPC C++.");
  app.add_option("--api", api, "of gRPC C++")->check(CLI::IsMember({"sync", "callback"}))->type_name("API");
  flags.declare(app);
  bench::parse_or_exit(app, argc, argv);

  const std::unique_ptr<bench::Caller> caller = caller_of(api, flags);
  return bench::run_load(flags, *caller);
}
