//! The processes that are measured: servers as children of this program, and what `/proc` says of
//! them. No process is touched that was not started here, and none outlives its owner.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use rustix::process::{kill_process, Pid, Signal};

use crate::machine;

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(10);

/// A kernel tick of `/proc/PID/stat`: `USER_HZ` is 100 on every Linux that Rust knows.
const TICK: Duration = Duration::from_millis(10);

/// A server in a child process; killed when dropped.
pub struct Server {
    child: Child,
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
        let mut child = KillOnDrop(Some(child));
        let stdout = BufReader::new(stdout.context("no pipe")?);
        let (line, stdout) = read_line(stdout, START)?;
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .with_context(|| format!("expected `listening on …`, got {line:?}"))?;
        Ok(Server {
            address: address.into(),
            child: child.0.take().context("no child")?,
            _stdout: stdout,
        })
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid())
    }

    /// Sends SIGTERM and waits for the end, `timeout` at most.
    pub fn terminate(mut self, timeout: Duration) -> Result<ExitStatus> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + timeout;
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(status),
                None if Instant::now() >= deadline => {
                    bail!("the server did not end in {timeout:?}")
                }
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A child that is not yet, or not at all, a [`Server`].
struct KillOnDrop(Option<Child>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(end);
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
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
    let mut child = KillOnDrop(Some(child));
    // One line is all that a role prints; it comes at the end.
    let (line, _) = read_line(BufReader::new(stdout.context("no pipe")?), timeout)?;
    let status = match &mut child.0 {
        Some(child) => child.wait()?,
        None => bail!("no child"),
    };
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

/// What a process takes, at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub threads: u64,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// The most memory that it ever had resident, in bytes.
    pub peak_memory: u64,
}

impl Usage {
    pub fn of(pid: u32) -> Result<Usage> {
        let status = read_proc(pid, "status")?;
        let field = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let value = line.and_then(|line| line.split_whitespace().next());
            let value = value.with_context(|| format!("/proc/{pid}/status has no {name}"))?;
            Ok(value.parse()?)
        };
        Ok(Usage {
            threads: field("Threads:")?,
            memory: field("VmRSS:")? * 1024,
            peak_memory: field("VmHWM:")? * 1024,
        })
    }
}

/// CPU time that a process has used so far, in the kernel and outside, in steps of 10 ms.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = read_proc(pid, "stat")?;
    // The second field, a name in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("malformed /proc/PID/stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // utime and stime are fields 14 and 15 of proc(5); the first one here is field 3.
    let ticks: u32 = match fields.get(11..13) {
        Some([user, system]) => user.parse::<u32>()? + system.parse::<u32>()?,
        _ => bail!("/proc/{pid}/stat is too short"),
    };
    Ok(TICK * ticks)
}

fn read_proc(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| path)
}
