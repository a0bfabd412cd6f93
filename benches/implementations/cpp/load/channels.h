// Role: the connections of a load client in gRPC C++, and their settings.

#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "common/flags.h"
#include "stream.grpc.pb.h"

namespace bench {

class Channels {
 public:
  explicit Channels(const LoadFlags& flags);

  // Blocks until each channel has connected or failed.
  void connect();

  // For call `index`.
  protobuf::StreamService::Stub& stub(std::size_t index) { return *connections_[index % connections_.size()].stub; }

 private:
  struct Connection {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<protobuf::StreamService::Stub> stub;
  };
  std::vector<Connection> connections_;
};

}  // namespace bench
