//! The Rust code of `proto/stream.proto`, as `build.rs` generates it. Nothing by hand belongs here.

/// The messages.
#[allow(missing_docs, warnings, clippy::all)]
pub mod stream {
    include!(concat!(env!("OUT_DIR"), "/stream.rs"));
}

/// The service and its client.
#[allow(missing_docs, warnings, clippy::all)]
pub mod stream_grpc {
    include!(concat!(env!("OUT_DIR"), "/stream_grpc.rs"));
}
