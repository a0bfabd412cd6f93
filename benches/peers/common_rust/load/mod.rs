//! What the load clients in Rust share, whatever gRPC library they are on: the flags, whose turn it
//! is, what is recorded, and the protocol with the caller (`benches/peers/README.md`). It must not
//! know any gRPC library: each client includes it by path.

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
