//! Counts the instructions of a process, where the machine supports it; most virtual machines do
//! not.

use std::fs;

use anyhow::{Context, Result};
use perf_event::events::{Event, Hardware};
use perf_event::{Builder, Counter};

/// Counters for all threads of a process, including those it starts later.
pub struct Instructions(Vec<Counter>);

impl Instructions {
    /// Starts counting; `None` if that is not supported or not allowed.
    pub fn count(pid: u32) -> Option<Instructions> {
        count_of(pid, Hardware::INSTRUCTIONS).ok().map(Instructions)
    }

    /// Returns the count so far; `None` if a counter cannot be read.
    pub fn so_far(&mut self) -> Option<u64> {
        total(&mut self.0)
    }
}

fn total(counters: &mut [Counter]) -> Option<u64> {
    counters.iter_mut().map(|counter| counter.read().ok()).sum()
}

fn count_of(pid: u32, event: impl Event + Clone) -> Result<Vec<Counter>> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))?;
    let count = |thread: fs::DirEntry| {
        let id: i32 = thread
            .file_name()
            .to_str()
            .context("a thread's id")?
            .parse()?;
        let mut counter = Builder::new(event.clone())
            .observe_pid(id)
            .inherit(true)
            .include_kernel()
            .build()?;
        counter.enable()?;
        anyhow::Ok(counter)
    };
    threads.map(|thread| count(thread?)).collect()
}

#[cfg(test)]
mod tests {
    use perf_event::events::Software;

    use super::*;

    /// Uses a software counter, which exists on every machine that allows counting.
    #[test]
    fn threads_old_and_new_are_counted() {
        let Ok(mut counters) = count_of(std::process::id(), Software::TASK_CLOCK) else {
            return;
        };
        let before = total(&mut counters).expect("readable");
        let spin = || (0..3_000_000_u64).map(std::hint::black_box).sum::<u64>();
        std::thread::spawn(spin).join().expect("no panic");
        let after = total(&mut counters).expect("readable");
        assert!(after > before + 100_000, "{before} ns, then {after} ns");
    }
}
