//! The command lines of the two binaries: settings, validating and the texts; and the client's run,
//! from flags that are right to an exit code. Sockets are opened by [`crate::client`] and
//! [`crate::server`].

// The flags' texts are for the terminal, where `[::1]` is an address and no link.
#![allow(rustdoc::broken_intra_doc_links)]

pub mod client;
pub mod client_keepalive;
mod client_manual;
pub mod client_security;
pub mod commands;
pub mod describe;
pub mod exit;
pub mod habits;
pub mod health;
pub mod ids;
pub mod list;
pub mod manual;
pub mod output;
mod proto_text;
pub mod run;
pub mod server;
pub mod server_limits;
mod server_manual;
pub mod server_security;
pub mod server_services;
pub mod server_watching;
pub mod settings;
pub mod terminal;
pub mod units;

use std::path::Path;

/// The warning about a file with a secret in it that others can read.
fn open_to_others(flag: &str, path: &Path) -> String {
    let path = path.display();
    format!("{flag}: `{path}` can be read by others; it should be its owner's alone (chmod 600)")
}

/// Whether a flag that is `given` has the one that it needs. clap sees that of flags on one level
/// only, not of one before a command and another behind it.
fn needs(flag: &str, given: bool, needed: &str, there: bool) -> Result<(), String> {
    match given && !there {
        true => Err(format!("{flag} needs {needed}")),
        false => Ok(()),
    }
}
