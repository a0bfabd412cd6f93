//! What a process costs while a repetition runs.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::common::cpu::cpu_time;
use crate::common::usage::{Usage, Watch};
use crate::instructions::Instructions;

/// What one process took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub cpu_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    /// Resident before the first measured call, in bytes.
    pub idle_memory: u64,
    /// The most that was ever resident, in bytes.
    pub peak_memory: u64,
    /// The most threads that were seen.
    pub threads: u64,
}

/// A process under observation.
pub struct Meter {
    pid: u32,
    idle_memory: u64,
    watch: Watch,
    instructions: Option<Instructions>,
    cpu: Duration,
}

impl Meter {
    pub fn start(pid: u32) -> Result<Meter> {
        Ok(Meter {
            pid,
            idle_memory: Usage::of(pid)?.memory,
            watch: Watch::start(pid),
            instructions: Instructions::count(pid),
            // Last, so that nothing of the above is in it.
            cpu: cpu_time(pid)?,
        })
    }

    /// The CPU time since the start. To be asked of all processes before anything else.
    pub fn cpu(&self) -> Result<Duration> {
        Ok(cpu_time(self.pid)?.saturating_sub(self.cpu))
    }

    /// The rest, with the CPU time that was read before.
    pub fn finish(mut self, cpu: Duration) -> Result<Cost> {
        let instructions = self.instructions.as_mut().and_then(Instructions::so_far);
        let usage = Usage::of(self.pid)?;
        Ok(Cost {
            cpu_ns: u64::try_from(cpu.as_nanos())?,
            instructions,
            idle_memory: self.idle_memory,
            peak_memory: usage.peak_memory,
            threads: self.watch.stop()?.max(usage.threads),
        })
    }
}
