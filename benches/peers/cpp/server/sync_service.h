// Role: FetchResponse in gRPC C++'s sync API, as people write it: a handler that has a thread to itself, and sleeps in
// it while a response is not due. So 10,000 open streams are 10,000 threads.

#pragma once

#include "common/flags.h"
#include "stream.grpc.pb.h"

namespace peers {

class SyncService final : public protobuf::StreamService::Service {
 public:
  SyncService(const ServerFlags& flags, int flush_every) : flags_(flags), flush_every_(flush_every) {}

  grpc::Status FetchResponse(grpc::ServerContext* context, const protobuf::Request* request,
                             grpc::ServerWriter<protobuf::Response>* writer) override;

 private:
  const ServerFlags& flags_;
  const int flush_every_;
};

}  // namespace peers
