//! The queue of the pool and the loop of a worker thread. It obeys the limit on busy threads that
//! [`growth`](super::growth) sets.
//!
//! Poll threads take the lock to submit, so its holders must be quick: they start and wake threads
//! and drop tasks outside it, and the queue grows by blocks instead of moving 100,000
//! tasks.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::super::panic::{drop_caught, run_caught};
use super::super::yielding::yield_briefly;
use super::state::PoolState;
use super::watch::Watch;
use super::{Task, Timer, WorkersConfig};

/// Yields of an idle worker before it sleeps. A yield costs half a microsecond if no other thread
/// is ready; calls of five messages cost 0.79 with 4, and 0.77 with 16.
const YIELDS_BEFORE_SLEEP: u32 = 4;

/// Threads beyond the maximum, for urgent tasks.
const URGENT_THREADS: usize = 1;

pub(super) struct Pool {
    state: Mutex<PoolState>,
    /// Idle workers sleep here, at most as many as processors.
    core: Condvar,
    /// The other idle workers sleep here. They are woken only if the core workers are not enough,
    /// so surplus ones time out and end.
    surplus: Condvar,
    /// The clock thread sleeps here.
    pub(super) clock: Condvar,
    /// The waiting tasks plus the busy threads beyond the limit; read without the lock.
    pressure: AtomicUsize,
    pub(super) core_threads: usize,
    pub(super) max_threads: usize,
    keep_alive: Duration,
    pub(super) watch: Watch,
}

/// Threads to wake once the lock is released: a thread woken earlier would wait for the lock.
#[derive(Default)]
pub(super) struct Wakes {
    core: usize,
    surplus: usize,
    clock: bool,
}

impl Wakes {
    pub(super) fn is_any(&self) -> bool {
        self.core + self.surplus > 0 || self.clock
    }
}

/// A task that left the queue.
pub(super) struct Taken {
    task: Arc<dyn Task>,
    /// The epoch of the pool then.
    epoch: u32,
    is_urgent: bool,
}

impl Pool {
    pub(super) fn new(config: &WorkersConfig, processors: usize) -> Pool {
        let max_threads = config.max_threads.max(1);
        let core_threads = processors.min(max_threads);
        Pool {
            state: Mutex::new(PoolState::new(core_threads)),
            core: Condvar::new(),
            surplus: Condvar::new(),
            clock: Condvar::new(),
            pressure: AtomicUsize::new(0),
            core_threads,
            max_threads,
            keep_alive: config.keep_alive,
            watch: Watch::default(),
        }
    }

    /// Starts the clock and the core threads.
    pub(super) fn start(self: &Arc<Self>) -> io::Result<()> {
        let clock = self.clone();
        thread::Builder::new()
            .name("fanstream-clock".into())
            .spawn(move || clock.run_clock())?;
        self.lock().threads = self.core_threads;
        self.start_workers(self.core_threads)
    }

    /// Starts `count` threads, which [`PoolState::threads`] counts already; an error subtracts the
    /// rest.
    pub(super) fn start_workers(self: &Arc<Self>, count: usize) -> io::Result<()> {
        for started in 0..count {
            let pool = self.clone();
            let thread = thread::Builder::new().name("fanstream-work".into());
            if let Err(error) = thread.spawn(move || pool.run_worker()) {
                let mut state = self.lock();
                state.threads -= count - started;
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, PoolState> {
        // No task runs under the lock, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Queues a task and adds the thread to wake for it to `wakes`.
    pub(super) fn make_ready(&self, state: &mut PoolState, task: Arc<dyn Task>, wakes: &mut Wakes) {
        let awake = usize::from(state.yielding);
        let (waiting, may_run) = match task.is_urgent() {
            true => {
                state.urgent.push_back(task);
                (state.urgent.len(), true)
            }
            false => {
                state.push(task);
                (state.ready, state.ready <= state.free())
            }
        };
        self.publish(state);
        self.ask_clock(state, wakes);
        if !may_run || waiting <= awake {
            // The limit forbids it, or the yielding thread takes it.
        } else if waiting <= awake + state.idle_core {
            wakes.core += 1;
        } else if waiting <= state.idle() {
            wakes.surplus += 1;
        }
    }

    /// Asks the clock thread for what waiting tasks lack: a higher limit, or threads.
    fn ask_clock(&self, state: &mut PoolState, wakes: &mut Wakes) {
        let wants_check = state.ready > state.free() && !state.wants_check;
        let lacks_threads = self.wanted(state) > state.threads - state.busy && !state.lacks_threads;
        state.wants_check |= wants_check;
        state.lacks_threads |= lacks_threads;
        wakes.clock |= wants_check || lacks_threads;
    }

    /// The number of threads that may run waiting tasks now: for urgent ones, one.
    fn wanted(&self, state: &PoolState) -> usize {
        let wanted = state.free().min(state.ready) + usize::from(!state.urgent.is_empty());
        wanted.min((self.max_threads + URGENT_THREADS).saturating_sub(state.busy))
    }

    /// Wakes threads for waiting tasks as the limit permits, and returns the number of threads to
    /// start.
    pub(super) fn fill_limit(&self, state: &mut PoolState, wakes: &mut Wakes) -> usize {
        let wanted = self.wanted(state);
        // Those that sleep, and those that are starting.
        let others = state.threads - state.busy;
        let started = wanted.saturating_sub(others);
        let core = wanted.min(state.idle_core);
        wakes.core += core;
        wakes.surplus += (wanted - core).min(state.idle_surplus);
        state.threads += started;
        state.lacks_threads = false;
        self.publish(state);
        started
    }

    /// Updates the count that [`Pool::is_contended`] reads.
    fn publish(&self, state: &PoolState) {
        let beyond = (state.busy - state.busy_urgent).saturating_sub(state.limit);
        let pressure = state.ready + state.urgent.len() + beyond;
        self.pressure.store(pressure, Ordering::Relaxed);
    }

    pub(super) fn wake(&self, wakes: Wakes) {
        (0..wakes.core).for_each(|_| self.core.notify_one());
        (0..wakes.surplus).for_each(|_| self.surplus.notify_one());
        if wakes.clock {
            self.clock.notify_one();
        }
    }

    pub(super) fn schedule(&self, due: Instant, task: Arc<dyn Task>) -> Timer {
        let mut state = self.lock();
        let timer = Timer {
            due,
            sequence: state.next_sequence,
        };
        state.next_sequence += 1;
        let first = state.scheduled.first_key_value();
        let is_first = first.is_none_or(|(first, _)| timer < *first);
        state.scheduled.insert(timer, task);
        drop(state);
        if is_first {
            self.clock.notify_one();
        }
        timer
    }

    pub(super) fn is_contended(&self) -> bool {
        self.pressure.load(Ordering::Relaxed) > 0
    }

    /// Ends the threads and drops all waiting tasks.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let urgent = mem::take(&mut state.urgent);
        let scheduled = mem::take(&mut state.scheduled);
        self.publish(&state);
        let ready: Vec<_> = std::iter::from_fn(|| state.pop()).collect();
        drop(state);
        self.core.notify_all();
        self.surplus.notify_all();
        self.clock.notify_all();
        // One by one: two panics in one drop would abort the process.
        ready.into_iter().chain(urgent).for_each(drop_caught);
        scheduled.into_values().for_each(drop_caught);
    }

    /// Runs a worker thread.
    fn run_worker(&self) {
        self.watch.add_thread();
        let mut state = self.lock();
        while !state.stopping {
            let mut wakes = Wakes::default();
            if let Some(taken) = self.take(&mut state, &mut wakes) {
                drop(state);
                self.wake(wakes);
                run_caught("a task", || taken.task.run());
                state = self.lock();
                state.busy -= 1;
                state.busy_urgent -= usize::from(taken.is_urgent);
                state.young -= usize::from(taken.epoch == state.epoch);
                state.ended += 1;
                self.publish(&state);
                if state.ready == 0 && state.urgent.is_empty() && !state.yielding {
                    state = self.yield_before_sleep(state);
                }
            } else if state.idle_core < self.core_threads {
                state.idle_core += 1;
                state = self.core.wait(state).unwrap_or_else(|e| e.into_inner());
                state.idle_core -= 1;
            } else {
                state.idle_surplus += 1;
                let woken = self.surplus.wait_timeout(state, self.keep_alive);
                let (guard, timeout) = woken.unwrap_or_else(|e| e.into_inner());
                state = guard;
                state.idle_surplus -= 1;
                let useless = state.ready == 0 || state.free() == 0;
                if timeout.timed_out() && useless && state.urgent.is_empty() {
                    break;
                }
            }
        }
        state.threads -= 1;
        drop(state);
        self.watch.remove_thread();
    }

    pub(super) fn take(&self, state: &mut PoolState, wakes: &mut Wakes) -> Option<Taken> {
        if state.busy >= self.max_threads + URGENT_THREADS {
            return None;
        }
        let urgent = state.urgent.pop_front();
        let is_urgent = urgent.is_some();
        let task = match urgent {
            Some(task) => task,
            None if state.free() == 0 => return None,
            None => state.pop()?,
        };
        state.busy += 1;
        state.busy_urgent += usize::from(is_urgent);
        state.young += 1;
        self.publish(state);
        if is_urgent {
            // It may block in place of the tasks that count on this thread.
            self.ask_clock(state, wakes);
        }
        Some(Taken {
            task,
            epoch: state.epoch,
            is_urgent,
        })
    }

    /// Yields to other threads before this one sleeps, in case they submit tasks: waking a thread
    /// costs a system call and two switches. Only one worker at a time does so, which bounds the
    /// cost.
    fn yield_before_sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, PoolState>,
    ) -> MutexGuard<'a, PoolState> {
        state.yielding = true;
        drop(state);
        for _ in 0..YIELDS_BEFORE_SLEEP {
            if self.is_contended() || !yield_briefly() {
                break;
            }
        }
        let mut state = self.lock();
        state.yielding = false;
        state
    }
}
