//! gRPC server streaming in the synchronous style: blocking producers, no async runtime, on the
//! gRPC C-core (through [`grpcio`]).
//!
//! - [`engine`] is what a server or client of any proto can use: producers that may block run on
//!   worker threads and push into a bounded channel for each call, which a future on the call's
//!   poll thread drains into the sink; a blocking client iterates what arrives.
//! - [`services`] has the services that tools expect of any server: health, reflection, channelz.
//! - [`server`], [`client`] and [`service`] are the tutorial's `StreamService` on that engine, and
//!   [`cli`] and [`logging`] make the two binaries of them. [`metrics`] and [`telemetry`] are for
//!   who watches a server.
//!
//! ```
//! use std::time::Duration;
//! use fanstream::client::{Client, ClientConfig};
//! use fanstream::server::{Server, ServerConfig};
//! use fanstream::service::Tutorial;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start(&ServerConfig {
//!     listen: "127.0.0.1:0".parse()?,
//!     tutorial: Tutorial { step: Duration::from_millis(10), ..Tutorial::default() },
//!     ..ServerConfig::default()
//! })?;
//! let client = Client::connect(&ClientConfig {
//!     address: server.bound().address.clone(),
//!     ..ClientConfig::default()
//! })?;
//! let mut texts = Vec::new();
//! for response in client.fetch(7) {
//!     texts.push(response?.result); // blocks until it arrives
//! }
//! assert_eq!(texts[4], "Request #4 For Id:7");
//! let drained = server.shutdown(Duration::from_secs(1));
//! assert_eq!(drained.aborted, 0);
//! # Ok(())
//! # }
//! ```
// One function each of `server::heap_trim` and `engine::call::deadline` are the only exceptions.
#![deny(unsafe_code)]
#![warn(missing_docs)]

// Generated code names this crate, also the code of this crate's own protos.
extern crate self as fanstream;

pub mod address;
pub mod cli;
pub mod client;
pub mod engine;
pub mod keepalive;
pub mod logging;
pub mod metrics;
pub mod proto;
pub mod security;
pub mod server;
pub mod service;
pub mod services;
mod status;
pub mod telemetry;

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

/// The README's code is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
