//! The Rust code of `proto/stream.proto`, as `build.rs` generates it. Nothing by hand belongs here.

/// The messages, the service and its client.
pub mod proto {
    tonic::include_proto!("protobuf");
}
