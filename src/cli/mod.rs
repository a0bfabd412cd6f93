//! The command lines of the two binaries: flags, settings, validation, output and exit codes. It must
//! not know how calls travel: [`crate::client`] and [`crate::server`] do.

// The flags' texts are for the terminal, where `[::1]` is an address and no link.
#![allow(rustdoc::broken_intra_doc_links)]

pub mod client;
pub mod common;
pub mod server;
