#include "server/server.h"

#include <grpc/grpc_security.h>

#include <iterator>

#include "common/deadline.h"
#include "frames.h"
#include "server/refusal.h"

namespace bench {
namespace {

constexpr char kMethod[] = "/protobuf.StreamService/FetchResponse";
// One write for all streams of a connection: scripts/ccore/0009-write-before-poll.patch.
constexpr char kWriteBeforePoll[] = "fanstream.write_before_poll";
// The number of calls that are requested from the C-core in advance.
constexpr int kAwaited = 64;

grpc_arg setting(const char* key, int value) {
  grpc_arg arg;
  arg.type = GRPC_ARG_INTEGER;
  arg.key = const_cast<char*>(key);
  arg.value.integer = value;
  return arg;
}

grpc_server* new_server(const ServerFlags& flags, bool framed) {
  grpc_arg list[] = {setting(GRPC_ARG_ALLOW_REUSEPORT, 0), setting(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
                     setting(GRPC_ARG_ENABLE_CHANNELZ, 0), setting(kWriteBeforePoll, 1),
                     setting(frames::kArgument, framed)};
  const grpc_channel_args args = {flags.lean ? std::size(list) : 1, list};
  return grpc_server_create(&args, nullptr);
}

grpc_server_credentials* new_credentials(const ServerFlags& flags) {
  if (!flags.tls()) return grpc_insecure_server_credentials_create();
  grpc_ssl_pem_key_cert_pair pair = {flags.tls_key.c_str(), flags.tls_certificate.c_str()};
  return grpc_ssl_server_credentials_create_ex(nullptr, &pair, 1, GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, nullptr);
}

}  // namespace

Server::Server(const ServerFlags& flags, bool framed)
    : flags_(flags),
      framed_(framed),
      queue_(grpc_completion_queue_create_for_next(nullptr)),
      server_(new_server(flags, framed)),
      shut_down_(completion_of<&Server::shut_down_is_complete>(this)) {
  grpc_server_register_completion_queue(server_, queue_, nullptr);
  // The C-core announces a call together with its request.
  method_ = grpc_server_register_method(server_, kMethod, nullptr, GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
}

Server::~Server() {
  grpc_server_destroy(server_);
  grpc_completion_queue_destroy(queue_);
}

int Server::listen() {
  grpc_server_credentials* const credentials = new_credentials(flags_);
  const int port = grpc_server_add_http2_port(server_, flags_.listen.c_str(), credentials);
  grpc_server_credentials_release(credentials);
  return port;
}

void Server::serve() {
  grpc_server_start(server_);
  Refusal::await_call(server_, queue_);
  for (int i = 0; i < kAwaited; ++i) Stream::await_call(*this);

  for (;;) {
    const grpc_event event = grpc_completion_queue_next(queue_, wait_until(), nullptr);
    if (event.type == GRPC_QUEUE_SHUTDOWN) return;
    if (event.type == GRPC_OP_COMPLETE) (*static_cast<Completion*>(event.tag))(event.success != 0);
    if (!timers_.empty()) timers_.fire_due([](Stream* stream) { stream->due(); });
  }
}

void Server::shut_down() {
  grpc_server_shutdown_and_notify(server_, queue_, &shut_down_);
  grpc_server_cancel_all_calls(server_);
}

// The C-core reports the shutdown after the last call.
void Server::shut_down_is_complete(bool) { grpc_completion_queue_shutdown(queue_); }

gpr_timespec Server::wait_until() const {
  return timers_.empty() ? gpr_inf_future(GPR_CLOCK_MONOTONIC) : deadline_of(timers_.next());
}

}  // namespace bench
