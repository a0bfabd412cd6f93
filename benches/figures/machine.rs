//! What the numbers were measured on, and where on it processes run.

use std::fs;
use std::io;
use std::process::{Child, Command};
use std::thread;

use rustix::thread::{sched_setaffinity, CpuSet};

/// Where servers run when server and client are kept apart.
pub const SERVER_CORE: usize = 0;
/// Where clients run when server and client are kept apart.
pub const CLIENT_CORE: usize = 1;

/// Prints processors, kernel and commit.
pub fn print() {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let model = first_line_of("/proc/cpuinfo", "model name");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("machine: {cores} cores, {model}, Linux {}", kernel.trim());
    println!("commit: {}", commit().unwrap_or_else(|| "unknown".into()));
}

fn first_line_of(path: &str, key: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.split_once(':'));
    line.map_or("unknown processor".into(), |(_, value)| value.trim().into())
}

/// The commit, with `-dirty` when files differ from it.
fn commit() -> Option<String> {
    let git = Command::new("git")
        .args(["describe", "--always", "--dirty"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let text = String::from_utf8(git.stdout).ok()?;
    git.status.success().then(|| text.trim().into())
}

/// Starts `command` on `core` alone. Its threads inherit that, from the first on.
pub fn spawn_on(core: usize, command: &mut Command) -> io::Result<Child> {
    // A child inherits from the thread that starts it; this one is thrown away.
    thread::scope(|scope| {
        let spawner = scope.spawn(|| {
            let mut cores = CpuSet::new();
            cores.set(core);
            sched_setaffinity(None, &cores)?;
            command.spawn()
        });
        spawner
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
