//! The cost of a process during a repetition: CPU time, instructions, memory, threads.

use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::common::cpu::cpu_time;
use crate::common::usage::{Usage, Watch};
use crate::instructions::Instructions;

/// The cost of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub cpu_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    /// Resident memory before the first measured call, in bytes.
    pub idle_memory: u64,
    /// The peak of resident memory, in bytes.
    pub peak_memory: u64,
    /// The peak number of threads.
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
            // Read last, so that the lines above are not counted.
            cpu: cpu_time(pid)?,
        })
    }

    /// Returns the CPU time since the start. Read it for all processes before anything else.
    pub fn cpu(&self) -> Result<Duration> {
        Ok(cpu_time(self.pid)?.saturating_sub(self.cpu))
    }

    /// Reads the other figures and adds the CPU time from [`Meter::cpu`].
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
