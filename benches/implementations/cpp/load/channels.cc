#include "load/channels.h"

#include <grpcpp/grpcpp.h>

#include <chrono>

namespace bench {
namespace {

grpc::ChannelArguments arguments_of(const LoadFlags& flags) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  // Channels to the same address would share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (flags.lean) {
    arguments.SetInt(GRPC_ARG_MINIMAL_STACK, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  }
  if (flags.window != 0) {
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, flags.window);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // it would set another window
  }
  if (!flags.server_name.empty()) arguments.SetSslTargetNameOverride(flags.server_name);
  return arguments;
}

std::shared_ptr<grpc::ChannelCredentials> credentials_of(const LoadFlags& flags) {
  if (!flags.tls()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = flags.tls_authority;
  return grpc::SslCredentials(options);
}

bool is_settled(grpc_connectivity_state state) {
  return state != GRPC_CHANNEL_IDLE && state != GRPC_CHANNEL_CONNECTING;
}

}  // namespace

Channels::Channels(const LoadFlags& flags) {
  const auto credentials = credentials_of(flags);
  const auto arguments = arguments_of(flags);
  for (std::size_t i = 0; i < flags.connections; ++i) {
    auto channel = grpc::CreateCustomChannel(flags.address, credentials, arguments);
    auto stub = protobuf::StreamService::NewStub(channel);
    connections_.push_back({std::move(channel), std::move(stub)});
  }
}

void Channels::connect() {
  for (const Connection& connection : connections_) connection.channel->GetState(true);
  for (const Connection& connection : connections_) {
    grpc::Channel& channel = *connection.channel;
    for (auto state = channel.GetState(true); !is_settled(state); state = channel.GetState(true)) {
      channel.WaitForStateChange(state, std::chrono::system_clock::time_point::max());
    }
  }
}

}  // namespace bench
