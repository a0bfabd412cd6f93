//! Compression of what is sent, for both sides. It must not know when to compress.

use std::ffi::CStr;

use grpcio::{ChannelBuilder, CompressionAlgorithms, CompressionLevel};

/// The default of zlib and of other gRPC implementations. Without a level, grpcio's C-core takes 0, and sends
/// every message as it is.
const LEVEL: i32 = 6;
const LEVEL_ARGUMENT: &CStr = c"grpc.gzip_compression_level";

/// Compresses requests.
pub(crate) fn of_client(channel: ChannelBuilder) -> ChannelBuilder {
    channel
        .default_compression_algorithm(CompressionAlgorithms::GRPC_COMPRESS_GZIP)
        .raw_cfg_int(LEVEL_ARGUMENT.into(), LEVEL)
}

/// Compresses responses for clients that accept it.
pub(crate) fn of_server(channel: ChannelBuilder) -> ChannelBuilder {
    channel
        // The lowest level is gzip where the client accepts it. An algorithm would not ask the client.
        .default_compression_level(CompressionLevel::GRPC_COMPRESS_LEVEL_LOW)
        .raw_cfg_int(LEVEL_ARGUMENT.into(), LEVEL)
}
