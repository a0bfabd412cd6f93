//! Generates Rust code from `.proto` files, in a build script, for packages that use `fanstream`. protoc is part of
//! this package's dependencies: nothing needs to be installed.
//!
//! `Cargo.toml`, for a proto in `proto/hello.proto`:
//!
//! ```toml
//! [dependencies]
//! fanstream = "0.1"
//!
//! [build-dependencies]
//! fanstream-build = "0.1"
//! ```
//!
//! `build.rs`:
//!
//! ```no_run
//! fn main() -> Result<(), fanstream_build::Error> {
//!     fanstream_build::Protos::new().file("proto/hello.proto").generate()
//! }
//! ```
//!
//! `src/main.rs`:
//!
//! ```ignore
//! mod proto {
//!     fanstream::include_protos!();
//! }
//! ```
//!
//! The module `proto` then holds
//! - `hello`: the messages and enums of `hello.proto`;
//! - `hello_grpc`: for each service its client, its trait, `create_…` and, for each method, `METHOD_…`, which
//!   `fanstream`'s client and server take. A file without services has no such module;
//! - `DESCRIPTORS`: all files and their imports, described, with comments: an encoded `FileDescriptorSet`, for server
//!   reflection.
//!
//! Modules are named after the files, whatever their package and folder. The code refers to `grpcio`, `protobuf` and
//! `futures` through `fanstream`, so the package needs no dependency on them.
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

mod code;
mod error;
mod modules;
mod protoc;
mod sources;

use std::path::{Path, PathBuf};
use std::{env, fs};

pub use error::Error;
use sources::Sources;

/// The `.proto` files to generate code from.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is generated before `generate`"]
pub struct Protos {
    files: Vec<PathBuf>,
    described: Vec<PathBuf>,
    includes: Vec<PathBuf>,
    out_dir: Option<PathBuf>,
}

impl Protos {
    /// No files yet.
    pub fn new() -> Protos {
        Protos::default()
    }

    /// Adds a file: its code is generated, and that of the files it imports.
    ///
    /// The path is relative to the package, or to one of the [includes](Protos::include).
    pub fn file(mut self, file: impl Into<PathBuf>) -> Protos {
        self.files.push(file.into());
        self
    }

    /// Adds a file to `DESCRIPTORS` that no code is generated from.
    pub fn described(mut self, file: impl Into<PathBuf>) -> Protos {
        self.described.push(file.into());
        self
    }

    /// Adds a directory where imports are looked up, relative to the package.
    ///
    /// Without any, the directories of the files are taken. Google's own protos (`google/protobuf/…`) need none.
    pub fn include(mut self, directory: impl Into<PathBuf>) -> Protos {
        self.includes.push(directory.into());
        self
    }

    /// Writes to this directory instead of `OUT_DIR`. A directory `NAME` in `OUT_DIR` is read by
    /// `fanstream::include_protos!("NAME")`.
    pub fn out_dir(mut self, directory: impl Into<PathBuf>) -> Protos {
        self.out_dir = Some(directory.into());
        self
    }

    /// Generates the code, and has cargo run the build script again when one of the files changes.
    ///
    /// For a build script: puts the directory of protoc first on this process's `PATH`.
    ///
    /// # Errors
    ///
    /// [`Error`] names the file and the reason. Nothing usable has been written then.
    pub fn generate(&self) -> Result<(), Error> {
        let out = match &self.out_dir {
            Some(directory) => directory.clone(),
            None => env::var_os("OUT_DIR").ok_or(Error::NoOutDir)?.into(),
        };
        fs::create_dir_all(&out).map_err(|source| Error::io(&out, source))?;

        let sources = Sources::new(&self.includes, self.files.iter().chain(&self.described))?;
        let files = sources.names(&self.files)?;
        let described = sources.names(&self.described)?;
        let set = protoc::describe(&sources, files.iter().chain(&described), &out)?;
        for proto in set.get_file() {
            // Google's own have no path: they change with this package only.
            if let Some(path) = sources.path(proto.get_name()) {
                println!("cargo:rerun-if-changed={}", path.display());
            }
        }

        let modules = modules::of(&set, &files)?;
        protoc::generate(&sources, &modules, &out)?;
        for name in modules.iter().flat_map(|module| module.files()) {
            rewrite(&out.join(name), code::usable)?;
        }
        let protos = out.join("protos.rs");
        fs::write(&protos, modules::source(&modules, &set))
            .map_err(|source| Error::io(&protos, source))
    }
}

fn rewrite(file: &Path, change: impl FnOnce(&str) -> String) -> Result<(), Error> {
    let code = fs::read_to_string(file).map_err(|source| Error::io(file, source))?;
    fs::write(file, change(&code)).map_err(|source| Error::io(file, source))
}
