// Role: makes the calls of a load client on the C-core: one completion queue, polled by the calling thread, and a channel
// for each connection. call.h has the steps of one call.

#pragma once

#include <grpc/grpc.h>

#include <cstddef>
#include <deque>
#include <vector>

#include "common/flags.h"
#include "common/load_process.h"
#include "load/call.h"

namespace bench {

class CoreCaller final : public Caller, private Call::Observer {
 public:
  // `framed`: responses may arrive together (frames.h).
  CoreCaller(const LoadFlags& flags, bool framed);
  ~CoreCaller() override;

  void connect() override;
  void make(Run& run, const std::function<void()>& hold) override;

 private:
  struct Connection {
    grpc_channel* channel;
    void* method;
  };

  void answered() override { ++answered_; }
  void ended(Call& call) override;

  void start_due(Run& run);
  void poll(gpr_timespec deadline);

  const bool framed_;
  grpc_completion_queue* queue_;
  std::vector<Connection> connections_;

  // Of the run that is made.
  std::deque<Call> calls_;
  std::vector<Call*> idle_;
  std::size_t next_ = 0;
  std::size_t answered_ = 0;
  std::size_t ended_ = 0;
};

}  // namespace bench
