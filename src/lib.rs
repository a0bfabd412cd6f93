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

/// The README's code is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
