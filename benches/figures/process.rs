//! The processes that are measured, as children of this program. No process is touched that was not
//! started here, and none outlives its owner.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use rustix::process::{kill_process, Pid, Signal};

use crate::machine;
use crate::usage::Usage;

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(10);

/// A server in a child process; killed when dropped.
pub struct Server {
    child: Owned,
    address: String,
    // Read no further, but open: a server that writes into a closed pipe is another server.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// The shipped server with these flags, on all cores.
    pub fn shipped(flags: &[&str]) -> Result<Server> {
        Server::start(None, &shipped_binary(), flags)
    }

    /// A server of any kind that prints `listening on HOST:PORT`, on `core` if there is one given.
    pub fn start(core: Option<usize>, binary: &Path, flags: &[&str]) -> Result<Server> {
        let mut command = Command::new(binary);
        command
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let started = match core {
            Some(core) => machine::spawn_on(core, &mut command),
            None => command.spawn(),
        };
        let child = started.with_context(|| format!("cannot start {}", binary.display()))?;
        Server::once_listening(child).with_context(|| binary.display().to_string())
    }

    fn once_listening(mut child: Child) -> Result<Server> {
        let stdout = child.stdout.take();
        let child = Owned(child);
        let stdout = BufReader::new(stdout.context("no pipe")?);
        let (line, stdout) = read_line(stdout, START)?;
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .with_context(|| format!("expected `listening on …`, got {line:?}"))?;
        Ok(Server {
            address: address.into(),
            child,
            _stdout: stdout,
        })
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid())
    }

    /// Sends SIGTERM and waits for the end, `timeout` at most.
    pub fn terminate(mut self, timeout: Duration) -> Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child.0), Signal::TERM)?;
        let deadline = Instant::now() + timeout;
        loop {
            match self.child.0.try_wait()? {
                Some(status) => return Ok(status),
                None if Instant::now() >= deadline => {
                    bail!("the server did not end in {timeout:?}")
                }
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

/// A child that ends with its owner.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One line, within `timeout`.
fn read_line<R: BufRead + Send + 'static>(mut from: R, timeout: Duration) -> Result<(String, R)> {
    let (done, read) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let result = from.read_line(&mut line).map(|_| (line, from));
        let _ = done.send(result);
    });
    let result = read.recv_timeout(timeout);
    Ok(result.with_context(|| format!("nothing printed within {timeout:?}"))??)
}

/// Runs `command` on `core` to its end, `timeout` at most, and returns what it printed.
pub fn output_on(core: usize, command: &mut Command, timeout: Duration) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = machine::spawn_on(core, command)?;
    let stdout = child.stdout.take();
    let mut child = Owned(child);
    // One line is all that a role prints; it comes at the end.
    let (line, _) = read_line(BufReader::new(stdout.context("no pipe")?), timeout)?;
    let status = child.0.wait()?;
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
