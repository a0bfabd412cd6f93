//! Generates the Rust code for the messages of `proto/stream.proto` into `OUT_DIR`; the server
//! includes it. No `protoc` needs to be installed.

use std::error::Error;

const PROTO: &str = "../../../proto/stream.proto";
const INCLUDE: &str = "../../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    let mut config = prost_build::Config::new();
    config.protoc_executable(protoc_bin_vendored::protoc_bin_path()?);
    config.compile_protos(&[PROTO], &[INCLUDE])?;
    Ok(())
}
