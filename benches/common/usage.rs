//! Memory and threads of a process, from `/proc`. It only reads.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

/// The interval between two samples of a [`Watch`].
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

/// The resources of a process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub threads: u64,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// The peak of resident memory, in bytes.
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

fn read_proc(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| path)
}

/// Samples the number of threads of a process every 20 ms and keeps the peak.
pub struct Watch {
    stop: Arc<AtomicBool>,
    watcher: JoinHandle<Result<u64>>,
}

impl Watch {
    pub fn start(pid: u32) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let watcher = thread::spawn(move || {
            let mut most = 0;
            while !stopped.load(Ordering::Relaxed) {
                most = most.max(Usage::of(pid)?.threads);
                thread::sleep(SAMPLE_INTERVAL);
            }
            Ok(most)
        });
        Watch { stop, watcher }
    }

    /// Stops and returns the peak.
    pub fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
