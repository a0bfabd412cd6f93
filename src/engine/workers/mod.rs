//! The worker threads, which run blocking code: a pool that grows while tasks wait for its threads,
//! with timers. It runs [`Task`]s and knows nothing of calls, channels or gRPC.
//!
//! A task should do a slice of its work and submit itself again for the next; the pool interrupts
//! no task. [`pool`] runs the queue and the workers, [`clock`] the timers; [`growth`] decides the
//! number of threads, and [`watch`] looks after slices that hold back wake-ups.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use super::panic::drop_caught;
use super::stats::HistogramSnapshot;
use super::sync::lock;
use pool::{Pool, Wakes};
pub(super) use watch::Hold;

mod clock;
mod growth;
mod pool;
mod state;
mod watch;

/// The longest delay of a task: a hundred years, which `Instant` can represent.
pub(super) const MAX_DELAY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A unit of work for a worker thread.
pub trait Task: Send + Sync + 'static {
    /// Does one slice of the work. May block. A panic ends the slice and nothing else.
    fn run(self: Arc<Self>);

    /// True for a task that takes microseconds and never blocks. The clock thread runs it when due,
    /// so it is on time even if all workers are blocked.
    fn is_brief(&self) -> bool {
        false
    }

    /// True for a task that must not wait for others, such as a heartbeat. It comes before them, and
    /// one thread beyond [`WorkersConfig::max_threads`] runs such tasks when all others are busy.
    fn is_urgent(&self) -> bool {
        false
    }
}

/// A task that is submitted once.
struct Once<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send + 'static> Task for Once<F> {
    fn run(self: Arc<Self>) {
        let work = lock(&self.0).take();
        if let Some(work) = work {
            work();
        }
    }
}

/// Size of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkersConfig {
    /// Maximum number of worker threads, but for one more for [urgent](Task::is_urgent) tasks. At
    /// least 1.
    pub max_threads: usize,
    /// A thread beyond the number of processors ends after this idle time.
    pub keep_alive: Duration,
}

impl Default for WorkersConfig {
    /// At most 512 threads, as in other pools for blocking code, kept for half a second: starting a
    /// thread takes some 50 µs.
    fn default() -> WorkersConfig {
        WorkersConfig {
            max_threads: 512,
            keep_alive: Duration::from_millis(500),
        }
    }
}

/// A snapshot of the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkersStatus {
    /// Worker threads, busy or idle; the clock thread is not one of them.
    pub threads: usize,
    /// Idle worker threads.
    pub idle: usize,
    /// Tasks that are due and wait for a thread.
    pub ready: usize,
    /// Tasks that are not due yet.
    pub scheduled: usize,
    /// For how long the pool has been full: it may have no more threads, all are busy, and tasks
    /// wait. Zero if it is not.
    pub full_for: Duration,
}

/// A handle to the pool; clones refer to the same pool. When the last handle is dropped, waiting
/// tasks are dropped too and each thread ends after its current slice. Nothing waits for the
/// threads.
#[derive(Clone)]
pub struct Workers {
    pool: Arc<Pool>,
    _stop: Arc<StopOnDrop>,
}

/// Identifies a scheduled task, to cancel it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    due: Instant,
    /// Tells apart tasks that are due at the same instant; they run in the order in which they were
    /// scheduled.
    sequence: u64,
}

impl Timer {
    pub(super) fn due(&self) -> Instant {
        self.due
    }
}

impl Workers {
    /// Starts the pool: its clock and one worker a processor.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn new(config: WorkersConfig) -> io::Result<Workers> {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let pool = Arc::new(Pool::new(&config, processors));
        // The handle exists before the first thread starts, so an error ends the threads started so
        // far.
        let workers = Workers {
            _stop: Arc::new(StopOnDrop(pool.clone())),
            pool,
        };
        workers.pool.start()?;
        Ok(workers)
    }

    /// Runs `task` as soon as a thread is free. Never blocks.
    pub fn submit(&self, task: Arc<dyn Task>) {
        let mut wakes = Wakes::default();
        self.pool
            .make_ready(&mut self.pool.lock(), task, &mut wakes);
        self.pool.wake(wakes);
    }

    /// Runs `work` once, as soon as a thread is free. Never blocks.
    pub(crate) fn submit_once(&self, work: impl FnOnce() + Send + 'static) {
        self.submit(Arc::new(Once(Mutex::new(Some(work)))));
    }

    /// Runs `task` at `due`, or as soon afterwards as a thread is free. Never blocks.
    pub fn submit_at(&self, due: Instant, task: Arc<dyn Task>) -> Timer {
        self.pool.schedule(due, task)
    }

    /// Cancels a scheduled task and drops it now. False if it was already due and left the timers.
    pub fn cancel(&self, timer: Timer) -> bool {
        let task = self.pool.lock().scheduled.remove(&timer);
        // Dropped outside the lock: the drop is the task's own code.
        task.map(drop_caught).is_some()
    }

    /// True while a task waits for a thread, so a slice should end soon.
    #[inline]
    pub fn is_contended(&self) -> bool {
        self.pool.is_contended()
    }

    /// Lets the slice of the calling thread hold back the wake-ups of `reader` until the result is
    /// dropped; see [`watch`]. `None` if this is not one of the pool's threads.
    pub(super) fn hold_wakes(&self, reader: Waker) -> Option<Hold> {
        let (hold, begins) = self.pool.watch.hold(reader)?;
        if begins {
            // Under the lock, the clock thread sleeps or has yet to decide whether to.
            let _state = self.pool.lock();
            self.pool.clock.notify_one();
        }
        Some(hold)
    }

    /// A snapshot of the pool.
    pub fn status(&self) -> WorkersStatus {
        let state = self.pool.lock();
        WorkersStatus {
            threads: state.threads,
            idle: state.idle(),
            ready: state.ready + state.urgent.len(),
            scheduled: state.scheduled.len(),
            full_for: state
                .full_since
                .map(|since| since.elapsed())
                .unwrap_or_default(),
        }
    }

    /// The time that due tasks waited for a thread: a sample, of at most one task at a time.
    pub fn queue_delay(&self) -> HistogramSnapshot {
        self.pool.lock().queue_delay.clone()
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Workers").field(&self.status()).finish()
    }
}

/// Ends the threads when the last [`Workers`] is dropped; the threads hold the [`Pool`] but not
/// this.
struct StopOnDrop(Arc<Pool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod threads_tests;
