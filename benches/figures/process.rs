//! The processes of the figures: the shipped server, and this program in a role of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{bail, Context, Result};

use crate::common::process::Process;
pub use crate::common::process::Server;

/// How long a role may take to end after it has printed its result.
const END: Duration = Duration::from_secs(10);

/// The shipped server with these flags, on all cores.
pub fn shipped(flags: &[&str]) -> Result<Server> {
    start(None, &shipped_binary(), flags)
}

/// A server of any kind, on `core` if there is one given.
pub fn start(core: Option<usize>, binary: &Path, flags: &[&str]) -> Result<Server> {
    Server::start(core, Command::new(binary).args(flags))
}

/// Runs `command` on `core` to its end, and returns the line that it printed, within `timeout`.
pub fn output_on(core: usize, command: &mut Command, timeout: Duration) -> Result<String> {
    let mut process = Process::start(Some(core), command.stdin(Stdio::null()))?;
    let line = process.line(timeout)?;
    let line = line.with_context(|| format!("nothing printed within {timeout:?}"))?;
    let status = process.wait(END)?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(line)
}

/// The server as this project ships it.
pub fn shipped_binary() -> PathBuf {
    env!("CARGO_BIN_EXE_server").into()
}

/// This program, to be started in one of its roles.
pub fn this_binary() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find this program")
}
