//! The queue of the pool and the loop of a worker thread. It obeys the limit on busy threads that
//! [`growth`](super::growth) sets, and must not know the reasons.
//!
//! Poll threads take the lock to submit, so its holders must be quick: they start and wake threads,
//! read clocks and drop tasks outside it, and the queue grows by blocks instead of moving 100,000
//! tasks.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::super::panic::{drop_caught, run_caught};
use super::super::stats::{Histogram, HistogramSnapshot};
use super::growth::Roster;
use super::queue::BlockQueue;
use super::usage::{SliceMeter, SliceTimes, Worker};
use super::{Task, Timer, WorkersConfig, WorkersStatus};

/// Yields of an idle worker before it sleeps. A yield costs half a microsecond if no other thread
/// is ready; calls of five messages cost 0.79 with 4, and 0.77 with 16.
const YIELDS_BEFORE_SLEEP: u32 = 4;

pub(super) struct Pool {
    state: Mutex<State>,
    /// Idle workers sleep here, at most as many as processors.
    core: Condvar,
    /// The other idle workers sleep here. They are woken only if the core workers are not enough,
    /// so surplus ones time out and end.
    surplus: Condvar,
    /// The clock thread sleeps here.
    pub(super) clock: Condvar,
    /// The waiting tasks plus the busy threads beyond the limit; read without the lock.
    pressure: AtomicUsize,
    pub(super) roster: Roster,
    pub(super) slice_times: SliceTimes,
    pub(super) core_threads: usize,
    pub(super) max_threads: usize,
    keep_alive: Duration,
    queue_delay: Histogram,
}

pub(super) struct State {
    ready: BlockQueue<Arc<dyn Task>>,
    /// The task whose delay is measured: the number of ready tasks before it, and its time of
    /// queueing.
    sampled: Option<(usize, Instant)>,
    pub(super) scheduled: BTreeMap<Timer, Arc<dyn Task>>,
    next_sequence: u64,
    /// Worker threads, including those that are starting.
    pub(super) threads: usize,
    /// Threads in a slice.
    pub(super) busy: usize,
    /// The most busy threads; at least the number of core threads.
    pub(super) limit: usize,
    /// Workers asleep in [`Pool::core`] and in [`Pool::surplus`].
    idle_core: usize,
    idle_surplus: usize,
    /// A worker is idle but not asleep yet; see [`Pool::yield_before_sleep`].
    yielding: bool,
    /// Whether the clock thread checks the load.
    pub(super) check_rate: CheckRate,
    /// Slices are measured, which takes 60 ns each.
    pub(super) measuring: bool,
    pub(super) stopping: bool,
}

impl State {
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    fn idle(&self) -> usize {
        usize::from(self.yielding) + self.idle_core + self.idle_surplus
    }

    /// Counts a task that left the queue; returns its time of queueing if its delay is measured.
    fn sample_leaves(&mut self) -> Option<Instant> {
        let (before, queued_at) = self.sampled?;
        self.sampled = before.checked_sub(1).map(|before| (before, queued_at));
        self.sampled.is_none().then_some(queued_at)
    }
}

/// How often the clock thread checks whether the busy threads are blocked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CheckRate {
    /// Never: no task waits, and at most as many threads are busy as processors exist.
    None,
    /// More threads are busy than processors exist.
    Slow,
    /// Tasks wait.
    Fast,
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
    queued_at: Option<Instant>,
    measured: bool,
    /// An empty block of the queue, to free outside the lock.
    emptied: Option<VecDeque<Arc<dyn Task>>>,
}

impl Pool {
    pub(super) fn new(config: &WorkersConfig, processors: usize) -> Pool {
        let max_threads = config.max_threads.max(1);
        let core_threads = processors.min(max_threads);
        Pool {
            state: Mutex::new(State {
                ready: BlockQueue::default(),
                sampled: None,
                scheduled: BTreeMap::new(),
                next_sequence: 0,
                threads: 0,
                busy: 0,
                limit: core_threads,
                idle_core: 0,
                idle_surplus: 0,
                yielding: false,
                check_rate: CheckRate::None,
                measuring: false,
                stopping: false,
            }),
            core: Condvar::new(),
            surplus: Condvar::new(),
            clock: Condvar::new(),
            pressure: AtomicUsize::new(0),
            roster: Roster::default(),
            slice_times: SliceTimes::default(),
            core_threads,
            max_threads,
            keep_alive: config.keep_alive,
            queue_delay: Histogram::default(),
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

    /// Starts `count` threads, which [`State::threads`] counts already; an error subtracts the
    /// rest.
    pub(super) fn start_workers(self: &Arc<Self>, count: usize) -> io::Result<()> {
        for started in 0..count {
            let pool = self.clone();
            let thread = thread::Builder::new().name("fanstream-work".into());
            if let Err(error) = thread.spawn(move || pool.run_worker()) {
                let mut state = self.lock();
                state.threads -= count - started;
                self.lower_limit_to_threads(&mut state);
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No task runs under the lock, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Queues a task and adds the thread to wake for it to `wakes`.
    pub(super) fn make_ready(&self, state: &mut State, task: Arc<dyn Task>, wakes: &mut Wakes) {
        let before = state.ready.len();
        if state.sampled.is_none() {
            state.sampled = Some((before, Instant::now()));
        }
        state.ready.push(task);
        self.publish(state);
        let ready = before + 1;
        let awake = usize::from(state.yielding);
        if ready > state.limit.saturating_sub(state.busy) || ready > state.idle() {
            // No thread is free: the clock must check whether the busy ones are blocked.
            Self::raise_check_rate(state, CheckRate::Fast, wakes);
        } else if ready <= awake {
            // The yielding thread takes it.
        } else if ready <= awake + state.idle_core {
            wakes.core += 1;
        } else {
            wakes.surplus += 1;
        }
    }

    fn raise_check_rate(state: &mut State, check_rate: CheckRate, wakes: &mut Wakes) {
        if state.check_rate < check_rate {
            state.check_rate = check_rate;
            wakes.clock = true;
        }
    }

    /// Wakes threads for a raised limit, and returns the number of threads to start.
    pub(super) fn fill_limit(&self, state: &mut State, wakes: &mut Wakes) -> usize {
        let free = state.limit.saturating_sub(state.busy);
        let wanted = free.min(state.ready.len());
        wakes.core += wanted.min(state.idle_core);
        let wanted = wanted.saturating_sub(state.idle_core);
        wakes.surplus += wanted.min(state.idle_surplus);
        let missing = wanted.saturating_sub(state.idle_surplus);
        let started = missing.min(self.max_threads.saturating_sub(state.threads));
        state.threads += started;
        self.lower_limit_to_threads(state);
        self.publish(state);
        started
    }

    /// A limit from an earlier load must not outlive its threads.
    fn lower_limit_to_threads(&self, state: &mut State) {
        state.limit = state.limit.min(state.threads.max(self.core_threads));
    }

    /// Updates the count that [`Pool::is_contended`] reads.
    fn publish(&self, state: &State) {
        let beyond = state.busy.saturating_sub(state.limit);
        let pressure = state.ready.len() + beyond;
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

    pub(super) fn unschedule(&self, timer: Timer) -> Option<Arc<dyn Task>> {
        self.lock().scheduled.remove(&timer)
    }

    pub(super) fn is_contended(&self) -> bool {
        self.pressure.load(Ordering::Relaxed) > 0
    }

    pub(super) fn status(&self) -> WorkersStatus {
        let state = self.lock();
        WorkersStatus {
            threads: state.threads,
            idle: state.idle(),
            ready: state.ready.len(),
            scheduled: state.scheduled.len(),
        }
    }

    pub(super) fn queue_delay(&self) -> HistogramSnapshot {
        self.queue_delay.snapshot()
    }

    /// Ends the threads and drops all waiting tasks.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let ready = mem::take(&mut state.ready);
        let scheduled = mem::take(&mut state.scheduled);
        self.publish(&state);
        drop(state);
        self.core.notify_all();
        self.surplus.notify_all();
        self.clock.notify_all();
        // One by one: two panics in one drop would abort the process.
        ready.into_iter().for_each(drop_caught);
        scheduled.into_values().for_each(drop_caught);
    }

    /// Runs a worker thread.
    fn run_worker(&self) {
        let own = Arc::new(Worker::current());
        self.roster.add(own.clone());
        let mut meter = SliceMeter::default();
        let mut state = self.lock();
        while !state.stopping {
            let mut wakes = Wakes::default();
            if let Some(taken) = self.take(&mut state, &mut wakes) {
                drop(state);
                self.wake(wakes);
                if let Some(queued_at) = taken.queued_at {
                    self.queue_delay.record(queued_at.elapsed());
                }
                drop(taken.emptied);
                let task = taken.task;
                let slice = || {
                    run_caught("a task", || task.run());
                };
                own.run(|| meter.run(taken.measured, &self.slice_times, slice));
                state = self.lock();
                state.busy -= 1;
                self.publish(&state);
                if state.ready.is_empty() && !state.yielding {
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
                let useless = state.ready.is_empty() || state.busy >= state.limit;
                if timeout.timed_out() && useless {
                    break;
                }
            }
        }
        state.threads -= 1;
        self.lower_limit_to_threads(&mut state);
        drop(state);
        self.roster.remove(&own);
    }

    pub(super) fn take(&self, state: &mut State, wakes: &mut Wakes) -> Option<Taken> {
        if state.busy >= state.limit {
            return None;
        }
        let (task, emptied) = state.ready.pop()?;
        state.busy += 1;
        self.publish(state);
        let queued_at = state.sample_leaves();
        if state.busy > self.core_threads {
            // The clock must check that the threads beyond the processors are needed.
            Self::raise_check_rate(state, CheckRate::Slow, wakes);
        }
        Some(Taken {
            task,
            queued_at,
            measured: state.measuring,
            emptied,
        })
    }

    /// Yields to other threads before this one sleeps, in case they submit tasks: waking a thread
    /// costs a system call and two switches. Only one worker at a time does so, which bounds the
    /// cost.
    fn yield_before_sleep<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.yielding = true;
        drop(state);
        for _ in 0..YIELDS_BEFORE_SLEEP {
            if self.is_contended() {
                break;
            }
            thread::yield_now();
        }
        let mut state = self.lock();
        state.yielding = false;
        state
    }
}
