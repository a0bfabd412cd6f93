//! A thread that has nothing to do yields before it sleeps or writes, in case another one is about
//! to give it more. It knows nothing of messages or tasks.
//!
//! The poll thread: the first message wakes a sleeping writer. On a shared processor it preempts the
//! worker, writes the one message, finds no other, and sleeps again: two context switches and a
//! system call for each message. After one yield it writes all messages that the worker has made
//! meanwhile: 0.47 of the cost of a tiny message on one processor, 0.7 of a call of five.
//!
//! A worker yields before it sleeps: waking it costs a system call and two switches.
//!
//! If no thread waits for the processor, a yield costs half a microsecond. If another process
//! computes there, it takes one of its time slices, a few milliseconds: such yields must be rare.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use nix::time::ClockId;

/// A longer yield may mean that another process computes.
const LONG_YIELD: Duration = Duration::from_millis(1);

/// It does if this process has used less than this share of a processor meanwhile. Otherwise the
/// thread has yielded to the others of this process, as it should.
const OWN_SHARE: f64 = 0.7;

/// Between two readings of the process's CPU time, of 0.3 µs, in a thread that yields often.
const READING_AGE: Duration = Duration::from_millis(10);

/// After a yield to another process, none follows for this multiple of its time: useless yields take
/// at most a hundredth of a thread's time.
const PAUSE_FACTOR: u32 = 100;

thread_local! {
    static NEXT_YIELD: Cell<Option<Instant>> = const { Cell::new(None) };
    static READING: Cell<Option<CpuReading>> = const { Cell::new(None) };
}

/// A time, and the CPU time of the process then.
#[derive(Clone, Copy)]
pub(super) struct CpuReading {
    at: Instant,
    cpu: Duration,
}

impl CpuReading {
    pub(super) fn take(at: Instant) -> CpuReading {
        let cpu = ClockId::CLOCK_PROCESS_CPUTIME_ID.now();
        let cpu = cpu.map_or(Duration::ZERO, Duration::from);
        CpuReading { at, cpu }
    }

    /// The processors that this process has used until `later`.
    pub(super) fn processors_until(self, later: CpuReading) -> f64 {
        let own = later.cpu.saturating_sub(self.cpu).as_secs_f64();
        own / later.at.duration_since(self.at).as_secs_f64().max(1e-6)
    }
}

/// Yields to other threads, unless a recent yield of this one was to another process; returns whether
/// it did.
pub(super) fn yield_briefly() -> bool {
    let began = Instant::now();
    if NEXT_YIELD.get().is_some_and(|time| began < time) {
        return false;
    }
    let recent = READING
        .get()
        .filter(|reading| began.duration_since(reading.at) < READING_AGE);
    let before = recent.unwrap_or_else(|| CpuReading::take(began));
    READING.set(Some(before));
    thread::yield_now();
    let took = began.elapsed();
    let is_others = || before.processors_until(CpuReading::take(began + took)) < OWN_SHARE;
    if took > LONG_YIELD && is_others() {
        NEXT_YIELD.set(Some(began + took * PAUSE_FACTOR));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_readings_tell_the_processors_that_were_used() {
        let at = Instant::now();
        let reading = |wall, cpu| CpuReading {
            at: at + Duration::from_millis(wall),
            cpu: Duration::from_millis(cpu),
        };
        assert_eq!(reading(0, 5).processors_until(reading(10, 10)), 0.5);
        assert_eq!(reading(0, 5).processors_until(reading(10, 25)), 2.0);
    }

    #[test]
    fn no_yield_follows_one_to_another_process_at_once() {
        NEXT_YIELD.set(Some(Instant::now() + Duration::from_secs(60)));
        assert!(!yield_briefly());
        NEXT_YIELD.set(Some(Instant::now()));
        assert!(yield_briefly());
    }
}
