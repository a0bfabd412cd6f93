//! Code that all load clients in Rust share: flags, scheduling, records, and the protocol with the
//! caller (`benches/README.md`). It must not know any gRPC library; each client includes it by
//! path.

pub mod calls;
mod flags;
mod output;
mod protocol;
mod record;
mod status;
mod summary;
#[cfg(test)]
pub mod testing;

pub use calls::{Call, Calls};
pub use flags::LoadArgs;
pub use protocol::main;
