//! Generates the Rust code for `proto/stream.proto` into `OUT_DIR`; `src/lib.rs` includes it. No
//! `protoc` needs to be installed.

use anyhow::Result;

const PROTO: &str = "../../../proto/stream.proto";
const INCLUDE: &str = "../../../proto";

fn main() -> Result<()> {
    // The generator has no setting for the path of protoc.
    std::env::set_var("PROTOC", protoc_bin_vendored::protoc_bin_path()?);
    connectrpc_build::Config::new()
        .files(&[PROTO])
        .includes(&[INCLUDE])
        .generate_json(false)
        .include_file("_connectrpc.rs")
        .compile()
}
