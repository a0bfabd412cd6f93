//! gRPC server streaming in the synchronous style: blocking producers, no async runtime, on the
//! gRPC C-core (through [`grpcio`]).
//!
//! - [`server`] serves any services: listeners, TLS, tokens, limits, drain, health, reflection, metrics
//!   and traces. [`client`] calls any server streaming or unary method and blocks.
//! - [`engine`] is below them: producers that may block run on worker threads and push into a bounded
//!   channel for each call, which a future on the call's poll thread drains into the sink.
//! - [`include_protos`] has the generated code of your own protos.
//!
//! Features: `tls` (TLS and tokens), `services` (health, reflection, channelz), `metrics`, `otlp`
//! (traces), and `cli` (all of them and the two binaries, which serve the tutorial's `StreamService`),
//! the default.
//!
//! See [`ServerBuilder`](server::ServerBuilder) for a server and a client in one example.
// One function each of `server::heap_trim` and `engine::call::deadline` are the only exceptions.
#![deny(unsafe_code)]
#![warn(missing_docs, unreachable_pub)]

// Generated code names this crate, also the code of this crate's own protos.
extern crate self as fanstream;

pub mod address;
#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
pub mod engine;
mod gzip;
pub mod keepalive;
#[cfg(feature = "cli")]
pub mod logging;
#[cfg(feature = "metrics")]
pub mod metrics;
mod names;
pub mod proto;
#[cfg(feature = "tls")]
pub mod security;
pub mod server;
#[cfg(feature = "services")]
pub mod services;
pub mod telemetry;
#[cfg(feature = "cli")]
pub mod tutorial;

// Part of the API, and named by generated code: a package that uses this one needs no dependency on them.
pub use {futures, grpcio, protobuf};

/// Includes the code that the package `fanstream-build` generated from `.proto` files.
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
/// `proto::hello` then holds the messages, `proto::hello_grpc` the services' traits and clients with `create_…` and
/// `METHOD_…`, and `proto::DESCRIPTORS` the encoded `FileDescriptorSet` for server reflection.
///
/// With a name, as in `include_protos!("admin")`, the directory `admin` of `OUT_DIR` is read: for a second set, which
/// `Protos::out_dir` writes there.
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
}
