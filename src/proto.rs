//! What `build.rs` generates from `proto/`: Rust code, and the descriptors. Nothing by hand belongs
//! here.

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

/// The messages of `grpc.health.v1`.
#[allow(missing_docs, warnings, clippy::all)]
pub mod health {
    include!(concat!(env!("OUT_DIR"), "/health.rs"));
}

/// The service of `grpc.health.v1` and its client.
#[allow(missing_docs, warnings, clippy::all)]
pub mod health_grpc {
    include!(concat!(env!("OUT_DIR"), "/health_grpc.rs"));
}

/// The messages of `grpc.reflection.v1`; those of `v1alpha` are the same on the wire.
#[allow(missing_docs, warnings, clippy::all)]
pub mod reflection {
    include!(concat!(env!("OUT_DIR"), "/reflection.rs"));
}

/// The service of `grpc.reflection.v1` and its client.
#[allow(missing_docs, warnings, clippy::all)]
pub mod reflection_grpc {
    include!(concat!(env!("OUT_DIR"), "/reflection_grpc.rs"));
}

/// All of `proto/` and what it imports, described, with comments: a `FileDescriptorSet`, encoded.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
