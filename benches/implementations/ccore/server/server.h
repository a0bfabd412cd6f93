// Role: the server and its event loop: one completion queue, polled by one thread that does everything. stream.h has the
// steps of one call.

#pragma once

#include <grpc/grpc.h>

#include "common/flags.h"
#include "completion.h"
#include "server/slab.h"
#include "server/stream.h"
#include "server/timers.h"

namespace bench {

class Server {
 public:
  // `framed`: small responses that are due leave together (frames.h).
  Server(const ServerFlags& flags, bool framed);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Returns the port, or 0 if it cannot listen on the address.
  int listen();
  // Blocks until shut_down is called and every call has ended.
  void serve();
  // Ends the open calls with UNAVAILABLE. From any thread, once.
  void shut_down();

  // For streams, on the serving thread.
  const ServerFlags& flags() const { return flags_; }
  bool framed() const { return framed_; }
  grpc_server* core() { return server_; }
  grpc_completion_queue* queue() { return queue_; }
  void* method() { return method_; }
  Slab& slab() { return slab_; }
  Timers<Stream>& timers() { return timers_; }

 private:
  gpr_timespec wait_until() const;
  void shut_down_is_complete(bool ok);

  const ServerFlags flags_;
  const bool framed_;
  grpc_completion_queue* queue_;
  grpc_server* server_;
  void* method_;
  Slab slab_;
  Timers<Stream> timers_;
  Completion shut_down_;
};

}  // namespace bench
