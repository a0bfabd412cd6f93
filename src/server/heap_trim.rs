//! Returns free heap memory to the system with `malloc_trim`: soon after many streams have ended,
//! and while resident memory is high. It must not know streams beyond their number.
//!
//! glibc keeps free pages between used ones. After 10,000 concurrent streams a server held 205 MB;
//! one `malloc_trim` returned 184 MB. A trim only visits free blocks of a page or more, so a trim
//! without effect is cheap.
//!
//! Every [`INTERVAL`]:
//!
//! | condition | trim |
//! | --- | --- |
//! | half of [`MIN_PEAK`] or more streams have ended | at once; the peak restarts |
//! | memory is above twice its minimum plus [`SLACK`], and no wait is left | at once; then a wait |
//! | otherwise | none |
//!
//! The wait is 3 intervals. It doubles, up to 24, while trims return less than an eighth.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::memory;
use crate::engine::{Streams, Task, Timer, Workers};

/// Interval between checks of open streams and resident memory.
const INTERVAL: Duration = Duration::from_millis(300);

/// Fewer streams free too little memory to be worth a trim.
const MIN_PEAK: usize = 200;

/// Memory is high above twice the observed minimum plus this.
const SLACK: u64 = 16 << 20;

/// Intervals between two trims while memory is high. The number doubles after a trim that returned
/// less than an eighth of the memory.
const MIN_INTERVALS: u32 = 3;
const MAX_INTERVALS: u32 = 24;

/// Trims the heap periodically until dropped.
pub(super) struct HeapTrim(Arc<Shared>);

/// glibc derives its trim threshold from the largest block freed so far: it returns the end of a
/// heap once twice that size is free there. The default of 128 KiB is two large responses. Their
/// pages would be returned each time their channel is empty, and the page faults that bring them
/// back cost 1.4 times the CPU of a 64 KiB response. Freeing a block of this size raises the
/// threshold.
const THRESHOLD_BLOCK: usize = 4 << 20;

impl HeapTrim {
    /// Starts the periodic check of `streams` and resident memory, on `workers`.
    pub(super) fn start(workers: Workers, streams: Streams) -> HeapTrim {
        drop(std::hint::black_box(Vec::<u8>::with_capacity(
            THRESHOLD_BLOCK,
        )));
        let shared = Arc::new(Shared {
            workers,
            streams,
            // Read now: the first check may come after a burst has begun.
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
            // `|` and not `||`: both update their state.
            peak.has_halved(open) | resident.is_due(before)
        };
        if due {
            trim_heap();
            self.lock().resident.trimmed(before, resident());
        }
        self.schedule(&mut self.lock());
    }
}

/// The maximum number of open streams since the last trim.
#[derive(Default)]
struct Peak(usize);

impl Peak {
    /// Returns true if at least half of the streams have ended. The peak then restarts at `open`.
    fn has_halved(&mut self, open: usize) -> bool {
        self.0 = self.0.max(open);
        let halved = self.0 >= MIN_PEAK && open <= self.0 / 2;
        if halved {
            self.0 = open;
        }
        halved
    }
}

/// Decides by resident memory, in bytes, when a trim is due.
struct Resident {
    /// The observed minimum.
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
            every: MIN_INTERVALS,
            wait: 0,
        }
    }

    fn is_due(&mut self, now: u64) -> bool {
        self.floor = self.floor.min(now);
        self.wait = self.wait.saturating_sub(1);
        let high = now > 2 * self.floor + SLACK;
        if !high {
            self.every = MIN_INTERVALS;
        }
        high && self.wait == 0
    }

    fn trimmed(&mut self, before: u64, after: u64) {
        let returned = before.saturating_sub(after);
        self.every = match returned >= before / 8 {
            true => MIN_INTERVALS,
            false => (2 * self.every).min(MAX_INTERVALS),
        };
        self.wait = self.every;
    }
}

/// Returns 0 if the kernel does not report it. Then no trim is due.
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

/// Other allocators return memory by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim_heap() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_halving_is_reported_once() {
        let mut peak = Peak::default();
        let seen: Vec<_> = [0, 1000, 501, 500, 500, 251, 250, 0, 0]
            .into_iter()
            .filter(|open| peak.has_halved(*open))
            .collect();
        assert_eq!(seen, [500, 250, 0]);
    }

    #[test]
    fn trims_become_rarer_while_they_return_little() {
        const MB: u64 = 1 << 20;
        let mut resident = Resident::new(20 * MB);
        assert!(
            !resident.is_due(56 * MB),
            "below twice the minimum plus 16 MB"
        );
        let mut trims = Vec::new();
        for interval in 0..100 {
            if resident.is_due(100 * MB) {
                trims.push(interval);
                resident.trimmed(100 * MB, 99 * MB);
            }
        }
        assert_eq!(trims, [0, 6, 18, 42, 66, 90]);
        resident.trimmed(100 * MB, 80 * MB);
        assert_eq!(resident.wait, MIN_INTERVALS);
    }

    #[test]
    fn a_small_peak_causes_no_trim() {
        let mut peak = Peak::default();
        assert!([0, MIN_PEAK - 1, 0]
            .iter()
            .all(|open| !peak.has_halved(*open)));
    }
}
