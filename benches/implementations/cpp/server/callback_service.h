// Role: FetchResponse in gRPC C++'s callback API: a reactor for each call, driven by gRPC's threads.

#pragma once

#include "common/flags.h"
#include "stream.grpc.pb.h"

namespace bench {

class CallbackService final : public protobuf::StreamService::CallbackService {
 public:
  CallbackService(const ServerFlags& flags, int flush_every) : flags_(flags), flush_every_(flush_every) {}

  grpc::ServerWriteReactor<protobuf::Response>* FetchResponse(grpc::CallbackServerContext* context,
                                                              const protobuf::Request* request) override;

 private:
  const ServerFlags& flags_;
  const int flush_every_;
};

}  // namespace bench
