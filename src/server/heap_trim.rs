//! Returns free heap memory to the system: at once after many streams have ended, and within seconds
//! after anything else that took much. It must not know what streams are.
//!
//! glibc keeps a free page while the pages around it are in use. After 10,000 concurrent streams a
//! server held 205 MB; one `malloc_trim` returned 184 MB. A trim only walks free blocks of a page or
//! more, so one that finds nothing is cheap.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::memory;
use crate::engine::{Streams, Task, Timer, Workers};

/// Interval between two looks at open streams and resident memory.
const INTERVAL: Duration = Duration::from_millis(300);

/// A peak below this leaves too little behind to be worth walking the heap.
const LEAST_PEAK: usize = 200;

/// Resident memory is high from twice the least that was seen on, and this much more.
const SLACK: u64 = 16 << 20;

/// Intervals between two trims while memory is high: doubled after a trim that returned less than an
/// eighth of it.
const FEWEST_INTERVALS: u32 = 3;
const MOST_INTERVALS: u32 = 24;

/// Trims when it is due, until it is dropped.
pub(super) struct HeapTrim(Arc<Shared>);

/// glibc takes the size of the largest block that it has freed for the size of blocks that are worth
/// keeping, and returns the end of a heap when twice as much is free there. The default, 128 KiB, is
/// two large responses: each time their channel is empty their pages would go, and come back as page
/// faults, which cost 1.4 times the CPU of a 64 KiB response.
const KEPT_BLOCK: usize = 4 << 20;

impl HeapTrim {
    /// Starts looking at `streams` and at resident memory, on `workers`.
    pub(super) fn start(workers: Workers, streams: Streams) -> HeapTrim {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT_BLOCK)));
        let shared = Arc::new(Shared {
            workers,
            streams,
            // Now: the first look may come after a burst has begun.
            state: Mutex::new(State::new(resident())),
        });
        shared.schedule(&mut shared.lock());
        HeapTrim(shared)
    }
}

impl Drop for HeapTrim {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.stopped = true;
        if let Some(timer) = state.timer.take() {
            self.0.workers.cancel(timer);
        }
    }
}

struct Shared {
    workers: Workers,
    streams: Streams,
    state: Mutex<State>,
}

struct State {
    peak: Peak,
    resident: Resident,
    timer: Option<Timer>,
    stopped: bool,
}

impl State {
    fn new(resident: u64) -> State {
        State {
            peak: Peak::default(),
            resident: Resident::new(resident),
            timer: None,
            stopped: false,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedule(self: &Arc<Self>, state: &mut State) {
        if !state.stopped {
            let due = Instant::now() + INTERVAL;
            state.timer = Some(self.workers.submit_at(due, self.clone()));
        }
    }
}

impl Task for Shared {
    fn run(self: Arc<Self>) {
        let (open, before) = (self.streams.open(), resident());
        let due = {
            let State { peak, resident, .. } = &mut *self.lock();
            // Both, so that both are kept up to date.
            peak.has_halved(open) | resident.is_due(before)
        };
        if due {
            trim_heap();
            self.lock().resident.trimmed(before, resident());
        }
        self.schedule(&mut self.lock());
    }
}

/// The most streams that were open since the last trim.
#[derive(Default)]
struct Peak(usize);

impl Peak {
    /// True once when at least half of the streams have ended; the peak starts again from `open`.
    fn has_halved(&mut self, open: usize) -> bool {
        self.0 = self.0.max(open);
        let halved = self.0 >= LEAST_PEAK && open <= self.0 / 2;
        if halved {
            self.0 = open;
        }
        halved
    }
}

/// Resident memory in bytes, and when a trim of it is due.
struct Resident {
    /// The least that was seen.
    floor: u64,
    /// Intervals between two trims.
    every: u32,
    /// Intervals until the next trim.
    wait: u32,
}

impl Resident {
    fn new(floor: u64) -> Resident {
        Resident {
            floor,
            every: FEWEST_INTERVALS,
            wait: 0,
        }
    }

    fn is_due(&mut self, now: u64) -> bool {
        self.floor = self.floor.min(now);
        self.wait = self.wait.saturating_sub(1);
        let high = now > 2 * self.floor + SLACK;
        if !high {
            self.every = FEWEST_INTERVALS;
        }
        high && self.wait == 0
    }

    fn trimmed(&mut self, before: u64, after: u64) {
        let returned = before.saturating_sub(after);
        self.every = match returned >= before / 8 {
            true => FEWEST_INTERVALS,
            false => (2 * self.every).min(MOST_INTERVALS),
        };
        self.wait = self.every;
    }
}

/// 0 where the kernel does not tell; then no trim is due.
fn resident() -> u64 {
    memory::resident().unwrap_or(0)
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
fn trim_heap() {
    // SAFETY: `malloc_trim` takes no pointers and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators return memory on their own.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim_heap() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_halving_counts_once() {
        let mut peak = Peak::default();
        let seen: Vec<_> = [0, 1000, 501, 500, 500, 251, 250, 0, 0]
            .into_iter()
            .filter(|open| peak.has_halved(*open))
            .collect();
        assert_eq!(seen, [500, 250, 0]);
    }

    #[test]
    fn high_memory_is_trimmed_ever_less_often_while_it_is_in_use() {
        const MB: u64 = 1 << 20;
        let mut resident = Resident::new(20 * MB);
        assert!(!resident.is_due(56 * MB), "less than twice that, and 16 MB");
        let mut trims = Vec::new();
        for interval in 0..100 {
            if resident.is_due(100 * MB) {
                trims.push(interval);
                resident.trimmed(100 * MB, 99 * MB);
            }
        }
        assert_eq!(trims, [0, 6, 18, 42, 66, 90]);
        resident.trimmed(100 * MB, 80 * MB);
        assert_eq!(resident.wait, FEWEST_INTERVALS);
    }

    #[test]
    fn a_small_peak_never_counts() {
        let mut peak = Peak::default();
        assert!([0, LEAST_PEAK - 1, 0]
            .iter()
            .all(|open| !peak.has_halved(*open)));
    }
}
