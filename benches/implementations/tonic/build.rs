//! Generates the Rust code for `proto/stream.proto` into `OUT_DIR`; `src/lib.rs` includes it. No
//! `protoc` needs to be installed.

use std::error::Error;

const PROTO: &str = "../../../proto/stream.proto";
const INCLUDE: &str = "../../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = tonic_prost_build::Config::new();
    config.protoc_executable(protoc_bin_vendored::protoc_bin_path()?);
    tonic_prost_build::configure().compile_with_config(config, &[PROTO], &[INCLUDE])?;
    Ok(())
}
