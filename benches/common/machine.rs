//! Facts about the machine, and pinning of processes to its cores. It measures nothing.

use std::fmt;
use std::fs;
use std::io;
use std::process::{Child, Command};
use std::thread;

use rustix::thread::{sched_setaffinity, CpuSet};
use serde::{Deserialize, Serialize};

/// The core of servers when server and client are kept apart.
pub const SERVER_CORE: usize = 0;
/// The core of clients when server and client are kept apart.
pub const CLIENT_CORE: usize = 1;

/// The machine and the commit of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub kernel: String,
    /// Ends with `-dirty` if files differ from the commit.
    pub commit: String,
}

impl Machine {
    pub fn here() -> Machine {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            cores: thread::available_parallelism().map_or(0, usize::from),
            processor: first_line_of("/proc/cpuinfo", "model name"),
            kernel: format!("Linux {}", kernel.trim()),
            commit: commit().unwrap_or_else(|| "unknown".into()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "machine: {} cores, {}, {}",
            self.cores, self.processor, self.kernel
        )?;
        write!(f, "commit: {}", self.commit)
    }
}

fn first_line_of(path: &str, key: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.split_once(':'));
    line.map_or("unknown processor".into(), |(_, value)| value.trim().into())
}

fn commit() -> Option<String> {
    let git = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let text = String::from_utf8(git.stdout).ok()?;
    git.status.success().then(|| text.trim().into())
}

/// Keeps the calling thread on `core`.
pub fn pin_to(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(sched_setaffinity(None, &cores)?)
}

/// Starts `command` on `core` alone. All its threads inherit the core.
pub fn spawn_on(core: usize, command: &mut Command) -> io::Result<Child> {
    // A child inherits the core of the thread that starts it, so a short-lived thread does.
    thread::scope(|scope| {
        let spawner = scope.spawn(|| {
            pin_to(core)?;
            command.spawn()
        });
        spawner
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
