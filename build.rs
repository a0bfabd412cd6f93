//! Generates the Rust code of `proto/` and its descriptors; `src/proto.rs` includes both.

use std::env;

fn main() -> Result<(), fanstream_build::Error> {
    let mut protos = fanstream_build::Protos::new()
        .include("proto")
        .file("proto/stream.proto");
    if env::var_os("CARGO_FEATURE_SERVICES").is_some() {
        // The code of reflection v1 serves v1alpha too: the two differ in their package alone.
        protos = protos
            .file("proto/grpc/health/v1/health.proto")
            .file("proto/grpc/reflection/v1/reflection.proto")
            .described("proto/grpc/reflection/v1alpha/reflection.proto")
            .described("proto/grpc/channelz/v1/channelz.proto");
    }
    protos.generate()
}
