//! The CPU clock of another process. Reads only.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use anyhow::{Context, Result};

/// The CPU time of a process so far, user and system, including its finished threads. It counts
/// nanoseconds; `/proc/PID/stat` counts steps of 10 ms.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    read_clock(pid).with_context(|| format!("the CPU clock of process {pid}"))
}

/// Every crate that wraps these two calls changes the features of `libc`, and cargo would compile
/// the C-core a second time.
#[allow(unsafe_code)]
fn read_clock(pid: u32) -> io::Result<Duration> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    let mut clock = MaybeUninit::uninit();
    // SAFETY: the pointer is valid for a write of a clock's id.
    let error = unsafe { libc::clock_getcpuclockid(pid, clock.as_mut_ptr()) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = MaybeUninit::uninit();
    // SAFETY: the call above succeeded, so the id is written; the pointer is valid for a write of
    // a time.
    if unsafe { libc::clock_gettime(clock.assume_init(), time.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the time is written.
    let time: libc::timespec = unsafe { time.assume_init() };
    let (seconds, nanos) = (time.tv_sec, time.tv_nsec);
    Ok(Duration::new(
        seconds.try_into().map_err(io::Error::other)?,
        nanos.try_into().map_err(io::Error::other)?,
    ))
}
