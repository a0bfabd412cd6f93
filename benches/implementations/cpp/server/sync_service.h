// Role: FetchResponse in gRPC C++'s sync API: the handler of each call blocks its own thread until the next response is
// due. So 10,000 open streams need 10,000 threads.

#pragma once

#include "common/flags.h"
#include "stream.grpc.pb.h"

namespace bench {

class SyncService final : public protobuf::StreamService::Service {
 public:
  SyncService(const ServerFlags& flags, int flush_every) : flags_(flags), flush_every_(flush_every) {}

  grpc::Status FetchResponse(grpc::ServerContext* context, const protobuf::Request* request,
                             grpc::ServerWriter<protobuf::Response>* writer) override;

 private:
  const ServerFlags& flags_;
  const int flush_every_;
};

}  // namespace bench
