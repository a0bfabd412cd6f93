//! Channel arguments for gzip, of client and server. It must not know when to compress.

use std::ffi::CStr;

use grpcio::{ChannelBuilder, CompressionAlgorithms, CompressionLevel};

/// The default level of zlib and of other gRPC implementations. Without this argument, grpcio's
/// C-core uses level 0, which does not compress.
const LEVEL: i32 = 6;
const LEVEL_ARGUMENT: &CStr = c"grpc.gzip_compression_level";

/// Compresses requests.
pub(crate) fn compress_requests(channel: ChannelBuilder) -> ChannelBuilder {
    channel
        .default_compression_algorithm(CompressionAlgorithms::GRPC_COMPRESS_GZIP)
        .raw_cfg_int(LEVEL_ARGUMENT.into(), LEVEL)
}

/// Compresses responses for clients that accept it.
pub(crate) fn compress_responses(channel: ChannelBuilder) -> ChannelBuilder {
    channel
        // The lowest level means gzip if the client accepts it. An algorithm would ignore the
        // client.
        .default_compression_level(CompressionLevel::GRPC_COMPRESS_LEVEL_LOW)
        .raw_cfg_int(LEVEL_ARGUMENT.into(), LEVEL)
}
