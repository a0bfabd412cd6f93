//! Measured processes, as children of this program. It touches only processes that it started, and
//! none of them outlives its owner.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use rustix::process::{kill_process, Pid, Signal};

use super::machine;

/// The limit on the time until a server listens: a JVM takes 20 s on a slow and busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A child process that is killed on drop, with the lines of its standard output.
pub struct Process {
    pub child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts `command`, on `core` if given, and reads its standard output by the line. The child
    /// has its own process group, so Ctrl-C at the terminal does not reach it.
    pub fn start(core: Option<usize>, command: &mut Command) -> Result<Process> {
        command.stdout(Stdio::piped()).process_group(0);
        let started = match core {
            Some(core) => machine::spawn_on(core, command),
            None => command.spawn(),
        };
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = started.with_context(|| format!("cannot start {program}"))?;
        let (line, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                // Reads to the end, so that the child never blocks on its output.
                for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // The owner may be gone.
                    let _ = line.send(text);
                }
            });
        }
        Ok(Process { child, lines })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the next line, or `None` after `timeout`. Fails if the output has ended.
    pub fn line(&self, timeout: Duration) -> Result<Option<String>> {
        match self.lines.recv_timeout(timeout) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("its output has ended"),
        }
    }

    /// Waits at most `timeout` for the process to exit.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(status),
                None if Instant::now() >= deadline => bail!("it did not end in {timeout:?}"),
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server in a child process; killed when dropped.
pub struct Server {
    process: Process,
    address: String,
}

impl Server {
    /// Starts a server, on `core` if given, and waits until it prints `listening on HOST:PORT`.
    pub fn start(core: Option<usize>, command: &mut Command) -> Result<Server> {
        let process = Process::start(core, command.stdin(Stdio::null()))?;
        let first = || -> Result<String> {
            let line = process.line(START_TIMEOUT)?;
            let line = line.with_context(|| format!("nothing printed within {START_TIMEOUT:?}"))?;
            let address = line.strip_prefix("listening on ");
            let address = address.with_context(|| format!("not `listening on …`: {line:?}"))?;
            Ok(address.trim().into())
        };
        let address =
            first().with_context(|| command.get_program().to_string_lossy().into_owned())?;
        Ok(Server { process, address })
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns the next line without `prefix`.
    #[allow(dead_code)] // not every program has servers that print more
    pub fn line_behind(&self, prefix: &str) -> Result<String> {
        let line = self.process.line(START_TIMEOUT)?;
        let line = line.with_context(|| format!("no `{prefix}…` within {START_TIMEOUT:?}"))?;
        let rest = line.strip_prefix(prefix);
        let rest = rest.with_context(|| format!("not `{prefix}…`: {line:?}"))?;
        Ok(rest.trim().into())
    }

    /// Waits at most `timeout` for the exit.
    pub fn wait(mut self, timeout: Duration) -> Result<ExitStatus> {
        self.process.wait(timeout).context("the server")
    }

    /// Sends SIGTERM and waits at most `timeout` for the exit.
    pub fn terminate(self, timeout: Duration) -> Result<ExitStatus> {
        kill_process(Pid::from_child(&self.process.child), Signal::TERM)?;
        self.wait(timeout)
    }
}
