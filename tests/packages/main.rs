//! Packages that use the library: the examples, and a package outside the workspace.

#[path = "../common"]
mod common {
    pub mod certificates;
    pub mod http;
    pub mod process;
}

mod examples;
mod outside;

use std::env;
use std::process::Command;

/// cargo, without the variables that describe this package. With them the build script of ring
/// would run again, and everything that depends on ring would be compiled again.
fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
