//! gRPC server streaming in the synchronous style: blocking producers, no async runtime, on the
//! gRPC C-core (through [`grpcio`]).
//!
//! - [`server`] runs a server for any services: listeners, TLS, tokens, limits, drain, health,
//!   reflection, metrics and traces. [`client`] makes blocking calls of any server streaming or
//!   unary method.
//! - [`engine`] is the layer below: blocking producers run on worker threads and push into a
//!   bounded channel per call. A future on the call's poll thread moves the messages to the sink.
//! - `sources` has what streams can be answered from, such as the lines of files, and [`resume`] the
//!   positions from which a broken stream goes on.
//! - [`c_core`] tells whether this program has the C-core with fanstream's patches.
//! - [`include_protos`] includes the generated code of your protos.
//!
//! Features: `tls` (TLS and tokens), `services` (health, reflection, channelz), `metrics`, `otlp`
//! (traces), `sources` (resumable streams, and the lines of files), `prost` (messages of the package
//! `prost` beside those of `protobuf`). `cli` enables the first five and builds the two binaries of the
//! tutorial's `StreamService`. The default is `cli` and `prost`.
//!
//! See [`ServerBuilder`](server::ServerBuilder) for an example with server and client.
// The only exceptions are functions in `c_core`, `cli::server::heap_trim` and `engine::call::deadline`.
#![deny(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

// Generated code refers to `::fanstream`, even within this crate.
extern crate self as fanstream;

pub mod address;
mod any_error;
pub mod c_core;
#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
pub mod engine;
mod extension;
mod gzip;
pub mod keepalive;
#[cfg(feature = "cli")]
pub mod logging;
mod message_size;
#[cfg(feature = "metrics")]
pub mod metrics;
mod names;
pub mod proto;
#[cfg(any(feature = "tls", feature = "sources"))]
mod read_file;
pub mod resume;
#[cfg(feature = "tls")]
pub mod security;
pub mod server;
#[cfg(feature = "services")]
pub mod services;
#[cfg(feature = "sources")]
pub mod sources;
mod status;
pub mod telemetry;
#[cfg(feature = "cli")]
pub mod tutorial;

pub use any_error::BoxError;
pub use status::Status;

// Part of the API. Generated code refers to them here, so users need no dependency on them.
pub use {futures, grpcio, protobuf};
#[cfg(feature = "prost")]
pub use {prost, prost_types};

/// Includes the code generated from `.proto` files by the package `fanstream-build`.
///
/// `Cargo.toml`:
///
/// ```toml
/// [build-dependencies]
/// fanstream-build = "0.1"
/// ```
///
/// `build.rs`, for a proto in `proto/hello.proto`:
///
/// ```ignore
/// fn main() -> Result<(), fanstream_build::Error> {
///     fanstream_build::Protos::new().file("proto/hello.proto").generate()
/// }
/// ```
///
/// In the package's code:
///
/// ```ignore
/// mod proto {
///     fanstream::include_protos!();
/// }
/// ```
///
/// `proto::hello` then contains the messages, `proto::hello_grpc` the services' traits and clients
/// with `create_…` and `METHOD_…`, and `proto::DESCRIPTORS` the encoded `FileDescriptorSet` for
/// server reflection. After `Protos::prost` the modules are the packages, each with its messages and
/// `METHOD_…`.
///
/// With a name, as in `include_protos!("admin")`, it includes a second set, which `Protos::out_dir`
/// has written to the directory `admin` of `OUT_DIR`.
#[macro_export]
macro_rules! include_protos {
    () => {
        include!(concat!(env!("OUT_DIR"), "/protos.rs"));
    };
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $name, "/protos.rs"));
    };
}

/// The code in README and docs/ is compiled and run with the tests.
#[cfg(doctest)]
mod documentation {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/library.md")]
    struct Library;
    #[doc = include_str!("../docs/SECURITY.md")]
    struct Security;
    #[doc = include_str!("../docs/sources.md")]
    struct Sources;
}
