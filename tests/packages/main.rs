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

/// cargo, without the variables that describe this package. ring's build script watches them: with
/// other values it would run again, and everything that depends on ring would be compiled again.
fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"];
        if of_package.iter().any(|start| text.starts_with(start)) {
            command.env_remove(&name);
        }
    }
    command
}
