//! Channel arguments for what a peer may send of one message and of one call's metadata, of client
//! and server. It must not know calls.

use std::ffi::CStr;

use grpcio::ChannelBuilder;

/// The default of gRPC for received messages, in bytes.
pub(crate) const DEFAULT_MESSAGE_BYTES: usize = 4 << 20;

/// Ends a call that receives a larger message with RESOURCE_EXHAUSTED as soon as its size is known,
/// and while it is decompressed. The patches in scripts/ccore add it; without them it is ignored.
const MAX_MESSAGE_BYTES: &CStr = c"fanstream.max_message_bytes";

/// What a client takes of headers and of trailers. By default the C-core drops some from 8 KiB on,
/// at random, and all from 16 KiB on; servers in Go and Java send up to 16 MiB and 8 KiB.
const CLIENT_METADATA_BYTES: i32 = 64 << 10;
const SOFT_METADATA_LIMIT: &CStr = c"grpc.max_metadata_size";
const HARD_METADATA_LIMIT: &CStr = c"grpc.absolute_max_metadata_size";

/// Bounds received messages.
pub(crate) fn limit_messages(channel: ChannelBuilder, bytes: usize) -> ChannelBuilder {
    // The C-core takes a negative number for no bound.
    channel.raw_cfg_int(MAX_MESSAGE_BYTES.into(), i32::try_from(bytes).unwrap_or(-1))
}

/// Lets a client take long statuses.
pub(crate) fn allow_long_metadata(channel: ChannelBuilder) -> ChannelBuilder {
    channel
        .raw_cfg_int(SOFT_METADATA_LIMIT.into(), CLIENT_METADATA_BYTES)
        .raw_cfg_int(HARD_METADATA_LIMIT.into(), CLIENT_METADATA_BYTES)
}
