//! Returns free heap memory to the system after many streams have ended. It only counts open
//! streams and must not know what they are.
//!
//! glibc keeps a free page while the pages around it are in use. After 10,000 concurrent streams a
//! server held 205 MB; one `malloc_trim` returned 184 MB.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::{Streams, Task, Timer, Workers};

/// Interval between two counts of the open streams.
const INTERVAL: Duration = Duration::from_millis(300);

/// A peak below this leaves too little behind to be worth walking the heap.
const LEAST_PEAK: usize = 200;

/// Counts the open streams periodically until it is dropped.
pub(super) struct HeapTrim(Arc<Shared>);

impl HeapTrim {
    /// Starts counting `streams`. Counting and trimming run on `workers`.
    pub(super) fn start(workers: Workers, streams: Streams) -> HeapTrim {
        let shared = Arc::new(Shared {
            workers,
            streams,
            state: Mutex::default(),
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

#[derive(Default)]
struct State {
    peak: Peak,
    timer: Option<Timer>,
    stopped: bool,
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
        let halved = self.lock().peak.has_halved(self.streams.open());
        if halved {
            trim_heap();
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
    fn a_small_peak_never_counts() {
        let mut peak = Peak::default();
        assert!([0, LEAST_PEAK - 1, 0]
            .iter()
            .all(|open| !peak.has_halved(*open)));
    }
}
