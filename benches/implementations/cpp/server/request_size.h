// Role: the limit on a request, for a server that goes without the C-core's filter for it.

#pragma once

#include <grpcpp/grpcpp.h>

#include "common/flags.h"
#include "stream.pb.h"

namespace bench {

inline bool is_allowed(const protobuf::Request& request, const ServerFlags& flags) {
  return !flags.lean || request.ByteSizeLong() <= kMaxRequestBytes;
}

inline grpc::Status too_large() {
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "Received message larger than max"};
}

}  // namespace bench
