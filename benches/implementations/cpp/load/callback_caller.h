// Role: makes the calls of a load client in gRPC C++'s callback API: a reactor for each call in flight, driven by gRPC's
// threads.

#pragma once

#include "common/load_process.h"
#include "load/channels.h"

namespace bench {

class CallbackCaller final : public Caller {
 public:
  explicit CallbackCaller(const LoadFlags& flags) : channels_(flags) {}

  void connect() override { channels_.connect(); }
  void make(Run& run, const std::function<void()>& hold) override;

 private:
  Channels channels_;
};

}  // namespace bench
