//! The command lines of the two binaries: parsing, validating and the texts; and the client's run,
//! from flags that are right to an exit code. Sockets are opened by [`crate::client`] and
//! [`crate::server`].

// The flags' texts are for the terminal, where `[::1]` is an address and no link.
#![allow(rustdoc::broken_intra_doc_links)]

pub mod client;
pub mod exit;
pub mod ids;
pub mod output;
pub mod run;
pub mod server;
pub mod units;
