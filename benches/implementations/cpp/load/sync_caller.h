// Role: makes the calls of a load client in gRPC C++'s sync API: a thread for each call in flight, which reads in a
// loop.

#pragma once

#include "common/load_process.h"
#include "load/channels.h"

namespace bench {

class SyncCaller final : public Caller {
 public:
  explicit SyncCaller(const LoadFlags& flags) : channels_(flags) {}

  void connect() override { channels_.connect(); }
  void make(Run& run, const std::function<void()>& hold) override;

 private:
  void call(Run& run, std::size_t index, protobuf::Response& response);
  void make_stalling(Run& run, const std::function<void()>& hold);

  Channels channels_;
};

}  // namespace bench
