//! Generates the Rust code of `proto/` into `OUT_DIR`, and the descriptors of all of it, as one set;
//! `src/proto.rs` includes both.
//!
//! No `protoc` needs to be installed: the one that `protoc-bin-vendored` ships is put first on
//! PATH, which is where `protoc-grpcio` looks for it. It must not write outside `OUT_DIR`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Files with code of their own, and the names of that. The code of reflection v1 serves v1alpha too: the
/// two differ in their package alone.
const CODE: [(&str, [&str; 2]); 3] = [
    ("proto/stream.proto", ["stream.rs", "stream_grpc.rs"]),
    (
        "proto/grpc/health/v1/health.proto",
        ["health.rs", "health_grpc.rs"],
    ),
    (
        "proto/grpc/reflection/v1/reflection.proto",
        ["reflection.rs", "reflection_grpc.rs"],
    ),
];

/// What is described and nothing else.
const DESCRIBED: [&str; 2] = [
    "proto/grpc/reflection/v1alpha/reflection.proto",
    "proto/grpc/channelz/v1/channelz.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");

    let protoc = protoc_bin_vendored::protoc_bin_path()?;
    let protoc_dir = protoc.parent().ok_or("protoc has no directory")?;
    let path = env::var_os("PATH").unwrap_or_default();
    let search = std::iter::once(protoc_dir.to_path_buf()).chain(env::split_paths(&path));
    env::set_var("PATH", env::join_paths(search)?);

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    for (proto, generated) in CODE {
        protoc_grpcio::compile_grpc_protos(&[proto], &["proto"], &out, None)
            .map_err(|error| format!("{proto}: {error}"))?;
        for name in generated {
            without_inner(&out.join(name))?;
        }
    }

    let described = Command::new(&protoc)
        .args(["--include_imports", "--include_source_info", "-Iproto"])
        .arg("-I")
        .arg(protoc_bin_vendored::include_path()?)
        .arg("--descriptor_set_out")
        .arg(out.join("descriptors.bin"))
        .args(CODE.iter().map(|(proto, _)| proto))
        .args(DESCRIBED)
        .status()?;
    if !described.success() {
        return Err("protoc does not describe the protos".into());
    }
    Ok(())
}

/// The generated files start with inner attributes (`#![allow(unsafe_code)]` and others) and an
/// inner doc comment, which `include!` refuses; the first would also undo the crate's
/// `forbid(unsafe_code)`.
fn without_inner(file: &Path) -> Result<(), Box<dyn Error>> {
    let code = fs::read_to_string(file)?;
    let inner = |line: &&str| line.starts_with("#![") || line.starts_with("//!");
    let kept = code.lines().filter(|line| !inner(line));
    fs::write(file, kept.collect::<Vec<_>>().join("\n"))?;
    Ok(())
}
