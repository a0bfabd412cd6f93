//! Generates the Rust code of `proto/` and its descriptors, which `src/proto.rs` includes, and that of the examples.

use std::env;
use std::path::{Path, PathBuf};

use fanstream_build::{Error, Protos};

const EXAMPLES: &str = "examples/proto";

fn main() -> Result<(), Error> {
    let mut protos = Protos::new().include("proto").file("proto/stream.proto");
    if env::var_os("CARGO_FEATURE_SERVICES").is_some() {
        // The code of reflection v1 serves v1alpha too: the two differ in their package alone.
        protos = protos
            .file("proto/grpc/health/v1/health.proto")
            .file("proto/grpc/reflection/v1/reflection.proto")
            .described("proto/grpc/reflection/v1alpha/reflection.proto")
            .described("proto/grpc/channelz/v1/channelz.proto");
    }
    protos.generate()?;

    // The published package has no examples.
    if Path::new(EXAMPLES).is_dir() {
        let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(Error::NoOutDir)?);
        let names = ["blob", "counter", "hello", "lines", "people", "sensor"];
        let protos = names.iter().fold(Protos::new(), |protos, name| {
            protos.file(format!("{EXAMPLES}/{name}.proto"))
        });
        protos.out_dir(out.join("examples")).generate()?;
    }
    Ok(())
}
