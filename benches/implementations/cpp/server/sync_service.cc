#include "server/sync_service.h"

#include <chrono>
#include <thread>

#include "common/server_process.h"
#include "server/hint.h"
#include "server/request_size.h"
#include "server/response.h"

namespace bench {

grpc::Status SyncService::FetchResponse(grpc::ServerContext*, const protobuf::Request* request,
                                        grpc::ServerWriter<protobuf::Response>* writer) {
  if (!is_allowed(*request, flags_)) return too_large();
  if (flags_.log_calls) log_request(request->id());
  const bool timed = flags_.step.count() != 0;
  const auto began = std::chrono::steady_clock::now();
  protobuf::Response response;
  for (int k = 0; k < flags_.responses; ++k) {
    if (timed && k != 0) std::this_thread::sleep_until(began + k * flags_.step);  // returns at once if that has passed
    make_response(response, request->id(), k, flags_.size);
    if (!writer->Write(response, write_options(k, flags_, flush_every_))) break;  // the call was cancelled
    if (flags_.log_calls) log_response(k);
  }
  return grpc::Status::OK;  // ignored if the call has already ended
}

}  // namespace bench
