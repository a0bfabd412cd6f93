//! The processes of the budgets: the shipped server, and this program in a role. It measures
//! nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};

use crate::common::process::Process;
pub use crate::common::process::Server;

/// The limit on the exit of a role after it has printed its result.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The shipped server with these flags, on all cores.
pub fn shipped(flags: &[&str]) -> Result<Server> {
    start(None, &shipped_binary()?, flags)
}

/// Starts a server, on `core` if given.
pub fn start(core: Option<usize>, binary: &Path, flags: &[&str]) -> Result<Server> {
    Server::start(core, Command::new(binary).args(flags))
}

/// Runs `command` on `core` and returns the line that it prints within `timeout`.
pub fn output_on(core: usize, command: &mut Command, timeout: Duration) -> Result<String> {
    let mut process = Process::start(Some(core), command.stdin(Stdio::null()))?;
    let line = process.line(timeout)?;
    let line = line.with_context(|| format!("nothing printed within {timeout:?}"))?;
    let status = process.wait(EXIT_TIMEOUT)?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(line)
}

/// The server as this project ships it, which `scripts/budgets` builds beside this program.
pub fn shipped_binary() -> Result<PathBuf> {
    let server = this_binary()?.with_file_name("server");
    ensure!(
        server.is_file(),
        "there is no {}: start the budgets with scripts/budgets",
        server.display()
    );
    Ok(server)
}

/// This program, to start it in one of its roles.
pub fn this_binary() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find this program")
}
