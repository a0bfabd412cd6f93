//! Generates Rust code and descriptors from `proto/`, for `src/proto.rs`, and from the protos of
//! the examples.

use std::env;
use std::path::{Path, PathBuf};

use fanstream_build::{Error, Protos};

const EXAMPLES: &str = "examples/proto";

fn main() -> Result<(), Error> {
    let mut protos = Protos::new().include("proto").file("proto/stream.proto");
    if env::var_os("CARGO_FEATURE_SERVICES").is_some() {
        // v1alpha needs no code: it differs from reflection v1 only in its package.
        protos = protos
            .file("proto/grpc/health/v1/health.proto")
            .file("proto/grpc/reflection/v1/reflection.proto")
            .described("proto/grpc/reflection/v1alpha/reflection.proto")
            .described("proto/grpc/channelz/v1/channelz.proto");
    }
    protos.generate()?;

    // The published package does not include the examples.
    if Path::new(EXAMPLES).is_dir() {
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(Error::NoOutDir)?);
        let names = [
            "blob", "counter", "hello", "lines", "news", "people", "sensor",
        ];
        let protos = names.iter().fold(Protos::new(), |protos, name| {
            protos.file(format!("{EXAMPLES}/{name}.proto"))
        });
        protos.out_dir(out.join("examples")).generate()?;
    }
    Ok(())
}
