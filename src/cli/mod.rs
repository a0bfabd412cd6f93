//! The command lines of the two binaries: parsing, validating and the texts; and the client's run,
//! from flags that are right to an exit code. Sockets are opened by [`crate::client`] and
//! [`crate::server`].

// The flags' texts are for the terminal, where `[::1]` is an address and no link.
#![allow(rustdoc::broken_intra_doc_links)]

pub mod client;
pub mod client_security;
pub mod exit;
pub mod ids;
pub mod output;
pub mod run;
pub mod server;
pub mod server_security;
pub mod server_watching;
pub mod units;

use std::path::Path;

/// The warning about a file with a secret in it that others can read.
fn open_to_others(flag: &str, path: &Path) -> String {
    let path = path.display();
    format!("{flag}: `{path}` can be read by others; it should be its owner's alone (chmod 600)")
}
