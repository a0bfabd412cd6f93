//! The limit on busy threads. It decides from measurements, and must not know the queue.
//!
//! The clock thread checks every few milliseconds while tasks wait or more threads are busy than
//! processors exist:
//! - The pool's threads fill the processors: the limit falls. More threads would only take turns.
//! - They do not: the limit is the number of processors plus the number of blocked threads, so that
//!   one thread a processor can run. If nearly all are blocked, it doubles.
//!
//! The number of blocked threads has two sources. A thread that stays in one slice and uses no CPU
//! is blocked. The other threads are blocked for the share of time that was blocked in recently
//! finished slices. Both may mistake a thread that waits for a processor for a blocked one, so
//! doubtful signs count only while the kernel takes no processor away from any thread of the
//! process.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::usage::{preemptions, SliceTimes, Worker};

/// A thread is blocked if it was in one slice for this time and used less than [`IDLE_CPU_SHARE`]
/// of a processor, unless a thread of the process was preempted meanwhile.
const BLOCKED_AFTER: Duration = Duration::from_millis(8);

/// After this time such a thread counts as blocked even with preemptions. A thread that waits for a
/// processor gets one earlier, unless thirty others share it: the kernel's time slices take 3 to 4
/// ms.
const SURELY_BLOCKED_AFTER: Duration = Duration::from_millis(120);

const IDLE_CPU_SHARE: f64 = 0.05;

/// The processors are full when the pool uses this share of them.
const FULL_CPU_SHARE: f64 = 0.95;

/// The running worker threads. The clock thread and threads that start or end lock it; poll threads
/// do not.
#[derive(Default)]
pub(super) struct Roster(Mutex<Vec<Entry>>);

struct Entry {
    worker: Arc<Worker>,
    cpu: Duration,
    slice: Option<u64>,
    /// The time in this slice with little CPU use, and the process's preemptions before it.
    idle: Duration,
    preemptions: i64,
}

impl Roster {
    pub(super) fn add(&self, worker: Arc<Worker>) {
        self.lock().push(Entry {
            worker,
            cpu: Duration::ZERO,
            slice: None,
            idle: Duration::ZERO,
            preemptions: 0,
        });
    }

    pub(super) fn remove(&self, worker: &Arc<Worker>) {
        self.lock()
            .retain(|entry| !Arc::ptr_eq(&entry.worker, worker));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The threads' use of processors since the last check.
#[derive(Debug, Default)]
struct Usage {
    /// Processors that the pool's threads used.
    processors: f64,
    /// Threads that stay in a slice and are blocked.
    blocked_threads: usize,
    /// Threads that soon count as blocked if they stay idle.
    maybe_blocked_threads: usize,
    /// Threads that stay in a slice and compute.
    computing: usize,
    /// The blocked share of the time in finished slices; `None` if too few slices finished.
    blocked: Option<f64>,
}

/// The state of the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) limit: usize,
    pub(super) busy: usize,
    pub(super) ready: usize,
}

/// The result of a check.
pub(super) struct Decision {
    pub(super) limit: usize,
    /// The next check may raise the limit, so it should come soon.
    pub(super) may_rise_soon: bool,
}

pub(super) struct Growth {
    core_threads: usize,
    max_threads: usize,
    last: Instant,
    /// Sums of [`SliceTimes`]; older evidence counts less.
    slice_times: [f64; 3],
    /// Preemptions of the process until the last check.
    preemptions: i64,
}

impl Growth {
    pub(super) fn new(core_threads: usize, max_threads: usize) -> Growth {
        Growth {
            core_threads,
            max_threads,
            last: Instant::now(),
            slice_times: [0.0; 3],
            preemptions: 0,
        }
    }

    /// Begins a series of checks and discards older measurements.
    pub(super) fn begin(&mut self, roster: &Roster, slice_times: &SliceTimes) {
        self.measure(roster, slice_times, 0);
        self.slice_times = [0.0; 3];
    }

    /// Measures the time since the last check; returns the new limit.
    pub(super) fn check(
        &mut self,
        roster: &Roster,
        slice_times: &SliceTimes,
        load: Load,
    ) -> Decision {
        let usage = self.measure(roster, slice_times, load.limit);
        let limit = self.decide(&usage, load);
        if limit > load.limit {
            // The next step needs evidence of its own.
            self.slice_times = [0.0; 3];
        }
        Decision {
            limit,
            may_rise_soon: usage.maybe_blocked_threads > 0 && load.ready > 0,
        }
    }

    fn measure(&mut self, roster: &Roster, slice_times: &SliceTimes, limit: usize) -> Usage {
        let now = Instant::now();
        let passed = now.duration_since(self.last);
        self.last = now;
        let preemptions = preemptions();
        let before = std::mem::replace(&mut self.preemptions, preemptions);
        let mut usage = Usage::default();
        for entry in roster.lock().iter_mut() {
            // The thread has just ended.
            let Some(cpu) = entry.worker.cpu() else {
                continue;
            };
            let used = cpu.saturating_sub(entry.cpu).as_secs_f64() / passed.as_secs_f64();
            entry.cpu = cpu;
            usage.processors += used;
            let slice = entry.worker.slice();
            let is_same = slice.is_some() && slice == entry.slice;
            entry.slice = slice;
            if !is_same || used > IDLE_CPU_SHARE {
                entry.idle = Duration::ZERO;
                entry.preemptions = before;
                usage.computing += usize::from(is_same && used > 0.5);
                continue;
            }
            // A process that was stopped as a whole must not count as blocked.
            entry.idle += passed.min(BLOCKED_AFTER);
            let is_sure = entry.preemptions == preemptions;
            let is_blocked = entry.idle
                >= if is_sure {
                    BLOCKED_AFTER
                } else {
                    SURELY_BLOCKED_AFTER
                };
            usage.blocked_threads += usize::from(is_blocked);
            usage.maybe_blocked_threads += usize::from(is_sure && !is_blocked);
        }
        let new = slice_times.take();
        if new[0] == 0.0 {
            return usage;
        }
        for (sum, new) in self.slice_times.iter_mut().zip(new) {
            *sum = *sum / 2.0 + new;
        }
        let [seen, blocked, maybe_blocked] = self.slice_times;
        // At least a quarter of a millisecond for each thread.
        if seen > limit as f64 * 0.000_25 {
            let is_sure = before == preemptions;
            let doubtful = if is_sure { maybe_blocked } else { 0.0 };
            usage.blocked = Some((blocked + doubtful) / seen);
        }
        usage
    }

    fn decide(&self, usage: &Usage, load: Load) -> usize {
        let Load { limit, busy, ready } = load;
        let slowly_lower = limit - limit / 8 - 1;
        let limit = if usage.processors >= FULL_CPU_SHARE * self.core_threads as f64 {
            slowly_lower
        } else {
            let others = limit.saturating_sub(usage.blocked_threads + usage.computing);
            let share = usage.blocked.unwrap_or(0.0);
            let blocked = usage.blocked_threads as f64 + share * others as f64;
            let wanted = if blocked >= 0.9 * limit as f64 {
                2 * limit
            } else {
                (self.core_threads as f64 + blocked).round() as usize
            };
            let is_known = others == 0 || usage.blocked.is_some();
            if wanted > limit && busy >= limit {
                wanted.min(limit + ready)
            } else if wanted < limit && is_known {
                wanted.max(slowly_lower)
            } else {
                limit
            }
        };
        limit.clamp(self.core_threads, self.max_threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_after(usage: Usage, limit: usize) -> usize {
        let load = Load {
            limit,
            busy: limit,
            ready: 100,
        };
        Growth::new(2, 64).decide(&usage, load)
    }

    #[test]
    fn full_processors_lower_the_limit() {
        let full = || Usage {
            processors: 2.0,
            blocked: Some(0.5),
            ..Usage::default()
        };
        assert_eq!(limit_after(full(), 2), 2);
        assert_eq!(limit_after(full(), 64), 55);
    }

    #[test]
    fn threads_that_wait_for_a_processor_do_not_raise_the_limit() {
        let preempted = Usage {
            processors: 0.5,
            blocked: Some(0.0),
            ..Usage::default()
        };
        assert_eq!(limit_after(preempted, 2), 2);
    }

    #[test]
    fn blocked_threads_double_the_limit() {
        let blocked = |limit: usize| Usage {
            blocked_threads: limit / 2,
            blocked: Some(0.99),
            ..Usage::default()
        };
        assert_eq!(limit_after(blocked(2), 2), 4);
        assert_eq!(limit_after(blocked(32), 32), 64);
        assert_eq!(limit_after(blocked(64), 64), 64);
    }

    #[test]
    fn half_blocked_threads_leave_one_a_processor() {
        let half = |limit: usize| Usage {
            processors: 1.0,
            blocked_threads: 1,
            computing: 1,
            blocked: (limit > 2).then_some(0.0),
            ..Usage::default()
        };
        assert_eq!(limit_after(half(2), 2), 3);
        assert_eq!(limit_after(half(3), 3), 3);
        assert_eq!(limit_after(half(10), 10), 8, "slowly");
    }

    #[test]
    fn without_measurements_the_limit_stays() {
        for limit in [2, 17, 64] {
            assert_eq!(limit_after(Usage::default(), limit), limit);
        }
    }
}
