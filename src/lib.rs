//! gRPC server streaming in the synchronous style: blocking producers, no async runtime, on the
//! gRPC C-core.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod address;
pub mod cli;
pub mod client;
pub mod engine;
pub mod logging;
pub mod proto;
pub mod server;
pub mod service;
