//! Generates Rust code from `.proto` files in the build script of a package that uses `fanstream`.
//! protoc comes with this package's dependencies, so no installation is needed. The program
//! `fanstream-build` gives such a package the patched gRPC C-core: see [`c_core`].
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
//! The module `proto` then contains
//! - `hello`: the messages and enums of `hello.proto`;
//! - `hello_grpc`: for each service its client, its trait, `create_…` and, for each method,
//!   `METHOD_…` for `fanstream`'s client and server. A file without services has no such module;
//! - `DESCRIPTORS`: an encoded `FileDescriptorSet` of all files and their imports, with comments, for
//!   server reflection.
//!
//! Modules are named after the files, independent of package and folder. The code refers to
//! `grpcio`, `protobuf` and `futures` through `fanstream`, so the package needs no dependency on
//! them. A field that arrives with another wire type than the proto's is an unknown field.
//!
//! With the feature `prost`, `Protos::prost` generates messages for the package `prost` instead.
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

pub mod c_core;
mod code;
mod error;
mod modules;
#[cfg(feature = "prost")]
mod prost;
mod protoc;
mod sources;
mod wire_types;

use std::path::{Path, PathBuf};
use std::{env, fs};

pub use error::Error;
use protobuf::descriptor::FileDescriptorSet;
use sources::Sources;

/// The `.proto` files to generate code from.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is generated before `generate`"]
pub struct Protos {
    files: Vec<PathBuf>,
    described: Vec<PathBuf>,
    includes: Vec<PathBuf>,
    out_dir: Option<PathBuf>,
    codec: Codec,
}

/// The package whose messages are generated.
#[derive(Clone, Debug, Default)]
enum Codec {
    #[default]
    Protobuf,
    #[cfg(feature = "prost")]
    Prost(prost::Configure),
}

impl Protos {
    /// Creates an empty set of files.
    pub fn new() -> Protos {
        Protos::default()
    }

    /// Adds a file. Code is generated for it and its imports.
    ///
    /// The path is relative to the package, or to one of the [includes](Protos::include).
    pub fn file(mut self, file: impl Into<PathBuf>) -> Protos {
        self.files.push(file.into());
        self
    }

    /// Adds a file to `DESCRIPTORS` without generating code.
    pub fn described(mut self, file: impl Into<PathBuf>) -> Protos {
        self.described.push(file.into());
        self
    }

    /// Adds an include directory for imports, relative to the package.
    ///
    /// By default, the directories of the files are used. Google's protos (`google/protobuf/…`) are
    /// always found.
    pub fn include(mut self, directory: impl Into<PathBuf>) -> Protos {
        self.includes.push(directory.into());
        self
    }

    /// Generates messages for the package `prost` instead of `protobuf`. Needs the feature `prost` of
    /// this package and of `fanstream`.
    ///
    /// ```no_run
    /// fn main() -> Result<(), fanstream_build::Error> {
    ///     fanstream_build::Protos::new().file("proto/hello.proto").prost().generate()
    /// }
    /// ```
    ///
    /// Modules are then named after packages, as usual with prost: `package demo.v1;` becomes
    /// `demo::v1`, with its messages, enums and, for each method, `METHOD_…`; a file without a package
    /// needs no module. There are no traits and no clients for services. Messages and enums of
    /// `google.protobuf` are those of `prost_types`; as requests and responses they are in a
    /// `fanstream::engine::codec::Prost`. The code has no comments.
    #[cfg(feature = "prost")]
    pub fn prost(self) -> Protos {
        self.prost_with(|_| {})
    }

    /// As [`Protos::prost`], with other settings of `prost-build`, such as attributes and types of
    /// fields. The function must not capture variables.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), fanstream_build::Error> {
    /// let protos = fanstream_build::Protos::new().file("proto/hello.proto");
    /// protos.prost_with(|config| {
    ///     config.btree_map(["."]).type_attribute(".", "#[derive(serde::Serialize)]");
    /// }).generate()
    /// # }
    /// ```
    #[cfg(feature = "prost")]
    pub fn prost_with(mut self, configure: fn(&mut prost_build::Config)) -> Protos {
        self.codec = Codec::Prost(configure);
        self
    }

    /// Writes to this directory instead of `OUT_DIR`. `fanstream::include_protos!("NAME")` reads
    /// the directory `NAME` in `OUT_DIR`.
    pub fn out_dir(mut self, directory: impl Into<PathBuf>) -> Protos {
        self.out_dir = Some(directory.into());
        self
    }

    /// Generates the code, and tells cargo to rerun the build script when a file changes. Warns if
    /// the gRPC C-core is compiled without fanstream's patches: see [`c_core`]. Blocks while protoc
    /// runs.
    ///
    /// Call it in a build script only: it puts the directory of protoc first on the `PATH` of the
    /// process.
    ///
    /// # Errors
    ///
    /// [`Error`] with the file and the reason. The output is then incomplete.
    pub fn generate(&self) -> Result<(), Error> {
        c_core::warn_if_unpatched();
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
            // Google's protos have no path: they change with this package only.
            if let Some(path) = sources.path(proto.get_name()) {
                println!("cargo:rerun-if-changed={}", path.display());
            }
        }

        let code = match self.codec {
            Codec::Protobuf => protobuf_code(&sources, &set, &files, &out)?,
            #[cfg(feature = "prost")]
            Codec::Prost(configure) => {
                let descriptors = out.join("descriptors.bin");
                let bytes =
                    fs::read(&descriptors).map_err(|source| Error::io(&descriptors, source))?;
                let files = modules::with_imports(&set, &files).into_keys().collect();
                prost::source(&bytes, &files, configure)?
            }
        };
        let protos = out.join("protos.rs");
        fs::write(&protos, format!("{HEADER}{code}{DESCRIPTORS}"))
            .map_err(|source| Error::io(&protos, source))
    }
}

const HEADER: &str = "// Generated by fanstream-build.\n";

const DESCRIPTORS: &str = r#"
/// An encoded `FileDescriptorSet` of all files and their imports.
#[allow(dead_code)]
pub const DESCRIPTORS: &[u8] = include_bytes!("descriptors.bin");
"#;

/// Generates a file for each module to `out`, and returns the source that declares them.
fn protobuf_code(
    sources: &Sources,
    set: &FileDescriptorSet,
    files: &[String],
    out: &Path,
) -> Result<String, Error> {
    let modules = modules::of(set, files)?;
    protoc::generate(sources, &modules, out)?;
    for name in modules.iter().flat_map(|module| module.files()) {
        rewrite(&out.join(name), |code| {
            code::make_includable(&wire_types::check_in_arms(code))
        })?;
    }
    Ok(modules::source(&modules, set))
}

fn rewrite(file: &Path, change: impl FnOnce(&str) -> String) -> Result<(), Error> {
    let code = fs::read_to_string(file).map_err(|source| Error::io(file, source))?;
    fs::write(file, change(&code)).map_err(|source| Error::io(file, source))
}
