//! The code that `build.rs` generates from `proto/stream.proto`. Handwritten code belongs
//! elsewhere.

/// The messages, the service and its client.
pub mod proto {
    connectrpc::include_generated!();
}
