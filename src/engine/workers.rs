//! The threads that run blocking code: a pool that grows while its threads are blocked, and the
//! due times of what is not to run yet.
//!
//! It runs [`Task`]s and knows nothing of calls, channels or gRPC. A task is expected to do a
//! slice of its work and to submit itself again for the next; nothing here cuts a task short.
//!
//! There are always as many threads as the machine has processors (a task that only computes
//! gains nothing from more); further ones are started, up to the cap, while tasks wait and threads
//! are blocked: in one slice for 5 ms or longer, and asleep in the kernel. They end
//! when they had nothing to do for a while. One more thread, the clock, keeps the due times and
//! watches for blocked threads. It runs no tasks but brief ones, so a blocked task never delays a
//! due one.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::stats::{Histogram, HistogramSnapshot};
use super::thread_state::ThreadId;

mod clock;

/// How often a worker with nothing to do lets others run before it sleeps. Each time costs half a
/// microsecond where there are none; calls of five messages cost 0.79 with 4, and 0.77 with 16.
const LINGER_YIELDS: u32 = 4;

/// Something to run on a worker thread.
pub trait Task: Send + Sync + 'static {
    /// Does one slice of the work. May block. A panic ends the slice and nothing else.
    fn run(self: Arc<Self>);

    /// True for one that takes microseconds and never blocks: when it is due the clock runs it
    /// itself, so it is in time though all workers may be blocked.
    fn is_brief(&self) -> bool {
        false
    }
}

/// How many threads, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkersConfig {
    /// The most worker threads there will ever be. At least 1.
    pub max_threads: usize,
    /// A thread beyond the number of processors ends when it had nothing to do for so long.
    pub keep_alive: Duration,
}

impl Default for WorkersConfig {
    /// At most 64 threads, kept for half a second: a new one takes some 50 µs.
    fn default() -> WorkersConfig {
        WorkersConfig {
            max_threads: 64,
            keep_alive: Duration::from_millis(500),
        }
    }
}

/// What the pool is doing: a snapshot, old when it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkersStatus {
    /// Worker threads, busy or not; the clock is not one of them.
    pub threads: usize,
    /// Worker threads with nothing to do.
    pub idle: usize,
    /// Tasks that are due and wait for a thread.
    pub ready: usize,
    /// Tasks that are not due yet.
    pub scheduled: usize,
}

/// A handle to the pool; clones are the same pool. When the last one is dropped, what waits is
/// dropped too and the threads end, each after the slice that it is in. Nobody waits for them.
#[derive(Clone)]
pub struct Workers {
    pool: Arc<Pool>,
    _stop: Arc<StopOnDrop>,
}

/// Names a task that was scheduled, to take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    due: Instant,
    /// Tells apart what is due at the same instant; what was scheduled first runs first.
    sequence: u64,
}

impl Timer {
    pub(super) fn due(&self) -> Instant {
        self.due
    }
}

impl Workers {
    /// Starts the pool: its clock and its first threads.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(config: WorkersConfig) -> io::Result<Workers> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let max_threads = config.max_threads.max(1);
        let pool = Arc::new(Pool {
            state: Mutex::new(State::default()),
            core: Condvar::new(),
            surplus: Condvar::new(),
            clock: Condvar::new(),
            ready: AtomicUsize::new(0),
            started: Instant::now(),
            core_threads: cores.min(max_threads),
            max_threads,
            keep_alive: config.keep_alive,
            queue_delay: Histogram::default(),
        });
        // Owned before the first thread starts: an error half way through ends those that did.
        let workers = Workers {
            _stop: Arc::new(StopOnDrop(pool.clone())),
            pool: pool.clone(),
        };
        let clock = pool.clone();
        thread::Builder::new()
            .name("fanstream-clock".into())
            .spawn(move || clock.keep_time())?;
        let mut state = pool.lock();
        for _ in 0..pool.core_threads {
            pool.start_worker(&mut state)?;
        }
        drop(state);
        Ok(workers)
    }

    /// Runs `task` as soon as a thread is free. Never blocks.
    pub fn submit(&self, task: Arc<dyn Task>) {
        let mut state = self.pool.lock();
        self.pool.make_ready(&mut state, task);
        // More tasks than idle threads: the clock has to watch whether the busy ones are blocked.
        if state.ready.len() > state.idle() && !state.clock_watches {
            state.clock_watches = true;
            self.pool.clock.notify_one();
        }
    }

    /// Runs `task` at `due`, or as soon after it as a thread is free. Never blocks.
    pub fn submit_at(&self, due: Instant, task: Arc<dyn Task>) -> Timer {
        let mut state = self.pool.lock();
        let timer = Timer {
            due,
            sequence: state.next_sequence,
        };
        state.next_sequence += 1;
        let first = state
            .scheduled
            .first_key_value()
            .is_none_or(|(first, _)| timer < *first);
        state.scheduled.insert(timer, task);
        if first {
            self.pool.clock.notify_one();
        }
        timer
    }

    /// Takes back what was scheduled: it is dropped now, not when it would be due. False when it
    /// is already with the threads.
    pub fn cancel(&self, timer: Timer) -> bool {
        let task = self.pool.lock().scheduled.remove(&timer);
        // Dropped outside the lock: what it owns may take its time.
        task.is_some()
    }

    /// True while a task waits for a thread, so that a slice should end soon.
    #[inline]
    pub fn is_contended(&self) -> bool {
        self.pool.ready.load(Ordering::Relaxed) > 0
    }

    /// What the pool is doing now.
    pub fn status(&self) -> WorkersStatus {
        let state = self.pool.lock();
        WorkersStatus {
            threads: state.threads.len(),
            idle: state.idle(),
            ready: state.ready.len(),
            scheduled: state.scheduled.len(),
        }
    }
}

impl Workers {
    /// How long tasks that were due waited for a thread: a sample, of at most one task at a time.
    pub fn queue_delay(&self) -> HistogramSnapshot {
        self.pool.queue_delay.snapshot()
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Workers").field(&self.status()).finish()
    }
}

struct Pool {
    state: Mutex<State>,
    /// As many idle workers as there are processors sleep here.
    core: Condvar,
    /// Further idle ones sleep here, and are woken only when those above are not enough: so they
    /// find out that they are not needed.
    surplus: Condvar,
    /// The clock sleeps here.
    clock: Condvar,
    /// Always `state.ready.len()`, to be read without the lock.
    ready: AtomicUsize,
    started: Instant,
    core_threads: usize,
    max_threads: usize,
    keep_alive: Duration,
    queue_delay: Histogram,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Arc<dyn Task>>,
    /// The task that is timed: how many of the ready ones leave before it, and when it came.
    timed: Option<(usize, u64)>,
    scheduled: BTreeMap<Timer, Arc<dyn Task>>,
    next_sequence: u64,
    threads: Vec<Arc<Worker>>,
    /// Workers asleep in [`Pool::core`] and in [`Pool::surplus`].
    idle_core: usize,
    idle_surplus: usize,
    /// A worker that has nothing to do, but is not asleep yet; see [`Pool::linger`].
    lingering: bool,
    /// The clock comes round every few milliseconds while tasks wait.
    clock_watches: bool,
    stopping: bool,
}

impl State {
    fn idle(&self) -> usize {
        usize::from(self.lingering) + self.idle_core + self.idle_surplus
    }

    /// A task has left the queue; when it came, if it is the one that is timed.
    fn timed_leaves(&mut self) -> Option<u64> {
        let (before, came) = self.timed?;
        self.timed = before.checked_sub(1).map(|before| (before, came));
        self.timed.is_none().then_some(came)
    }
}

/// One worker thread.
struct Worker {
    /// When its slice began, in nanoseconds since [`Pool::started`]; 0 when it is in none. Written
    /// by the thread alone, without the lock.
    busy_since: AtomicU64,
    /// Set by the thread before its first slice.
    id: OnceLock<ThreadId>,
}

impl Worker {
    /// True when its slice began no later than `since` and it sleeps in it.
    fn is_blocked(&self, since: u64) -> bool {
        let began = self.busy_since.load(Ordering::Relaxed);
        began != 0 && began <= since && self.id.get().is_some_and(|id| id.is_asleep())
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No task runs under the lock, so a poisoned one is whole.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn make_ready(&self, state: &mut State, task: Arc<dyn Task>) {
        if state.timed.is_none() {
            state.timed = Some((state.ready.len(), self.now()));
        }
        state.ready.push_back(task);
        self.ready.store(state.ready.len(), Ordering::Relaxed);
        let awake = usize::from(state.lingering);
        if state.ready.len() <= awake {
            // It comes by itself.
        } else if state.ready.len() <= awake + state.idle_core {
            self.core.notify_one();
        } else if state.ready.len() <= state.idle() {
            self.surplus.notify_one();
        }
    }

    fn now(&self) -> u64 {
        // At least 1: 0 says "in no slice".
        self.started.elapsed().as_nanos() as u64 + 1
    }

    fn start_worker(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let worker = Arc::new(Worker {
            busy_since: AtomicU64::new(0),
            id: OnceLock::new(),
        });
        let (pool, own) = (self.clone(), worker.clone());
        thread::Builder::new()
            .name("fanstream-work".into())
            .spawn(move || pool.work(&own))?;
        state.threads.push(worker);
        Ok(())
    }

    /// The life of a worker thread.
    fn work(&self, own: &Arc<Worker>) {
        let _ = own.id.set(ThreadId::current());
        let mut state = self.lock();
        while !state.stopping {
            if let Some(task) = state.ready.pop_front() {
                self.ready.store(state.ready.len(), Ordering::Relaxed);
                let came = state.timed_leaves();
                drop(state);
                let now = self.now();
                own.busy_since.store(now, Ordering::Relaxed);
                if let Some(came) = came {
                    let waited = Duration::from_nanos(now.saturating_sub(came));
                    self.queue_delay.record(waited);
                }
                run_caught(task);
                own.busy_since.store(0, Ordering::Relaxed);
                state = self.lock();
                if state.ready.is_empty() && !state.lingering {
                    state = self.linger(state);
                }
                continue;
            }
            if state.idle_core < self.core_threads {
                state.idle_core += 1;
                state = self.core.wait(state).unwrap_or_else(|e| e.into_inner());
                state.idle_core -= 1;
                continue;
            }
            state.idle_surplus += 1;
            let woken = self.surplus.wait_timeout(state, self.keep_alive);
            let (guard, timeout) = woken.unwrap_or_else(|e| e.into_inner());
            state = guard;
            state.idle_surplus -= 1;
            if timeout.timed_out() && state.ready.is_empty() {
                break;
            }
        }
        state.threads.retain(|other| !Arc::ptr_eq(other, own));
    }

    /// Lets other threads run before this one sleeps, in case they have more for it: to wake a
    /// thread costs a system call and two switches. One worker at a time, so that what it costs
    /// where nothing comes stays small.
    fn linger<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.lingering = true;
        drop(state);
        for _ in 0..LINGER_YIELDS {
            if self.ready.load(Ordering::Relaxed) > 0 {
                break;
            }
            thread::yield_now();
        }
        let mut state = self.lock();
        state.lingering = false;
        state
    }
}

/// Tasks catch what their producers do; this is the last line, so that no panic ends a worker.
fn run_caught(task: Arc<dyn Task>) {
    let run = std::panic::AssertUnwindSafe(|| task.run());
    if std::panic::catch_unwind(run).is_err() {
        tracing::error!("a task panicked outside its producers");
    }
}

/// Ends the threads when the last [`Workers`] goes; they hold the [`Pool`] but not this.
struct StopOnDrop(Arc<Pool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.stopping = true;
        let ready = std::mem::take(&mut state.ready);
        let scheduled = std::mem::take(&mut state.scheduled);
        self.0.ready.store(0, Ordering::Relaxed);
        drop(state);
        self.0.core.notify_all();
        self.0.surplus.notify_all();
        self.0.clock.notify_all();
        drop((ready, scheduled));
    }
}

#[cfg(test)]
#[path = "workers_tests.rs"]
mod tests;
