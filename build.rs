//! Generates the Rust code for `proto/stream.proto` into `OUT_DIR`; `src/proto.rs` includes it.
//!
//! No `protoc` needs to be installed: the one that `protoc-bin-vendored` ships is put first on
//! PATH, which is where `protoc-grpcio` looks for it. It must not write outside `OUT_DIR`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const PROTO: &str = "proto/stream.proto";
const GENERATED: [&str; 2] = ["stream.rs", "stream_grpc.rs"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    println!("cargo:rerun-if-changed=build.rs");

    let protoc = protoc_bin_vendored::protoc_bin_path()?;
    let protoc_dir = protoc.parent().ok_or("protoc has no directory")?;
    let path = env::var_os("PATH").unwrap_or_default();
    let search = std::iter::once(protoc_dir.to_path_buf()).chain(env::split_paths(&path));
    env::set_var("PATH", env::join_paths(search)?);

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    protoc_grpcio::compile_grpc_protos(&[PROTO], &["proto"], &out, None)
        .map_err(|error| format!("{PROTO}: {error}"))?;

    // The generated files start with inner attributes (`#![allow(unsafe_code)]` and others) and an
    // inner doc comment, which `include!` refuses; the first would also undo the crate's
    // `forbid(unsafe_code)`.
    for name in GENERATED {
        let file = out.join(name);
        let code = fs::read_to_string(&file)?;
        let inner = |line: &&str| line.starts_with("#![") || line.starts_with("//!");
        let kept = code.lines().filter(|line| !inner(line));
        fs::write(&file, kept.collect::<Vec<_>>().join("\n"))?;
    }
    Ok(())
}
