//! The state of the pool: its tasks and the counts of its threads. It wakes nobody and runs nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{unbounded, Receiver, Sender};
use nix::time::ClockId;

use super::growth::Load;
use super::{Task, Timer};

type Waiting = Arc<dyn Task>;

/// One lock protects all fields.
pub(super) struct State {
    /// The tasks that wait, on a queue that grows by blocks: a `VecDeque` of 100,000 would move
    /// them all under the lock.
    queue: (Sender<Waiting>, Receiver<Waiting>),
    /// Their number.
    pub(super) ready: usize,
    /// Ready tasks that come before all others; see [`Task::is_urgent`].
    pub(super) urgent: VecDeque<Arc<dyn Task>>,
    /// The task whose delay is measured, if any is ready.
    sample: Option<Sample>,
    pub(super) scheduled: BTreeMap<Timer, Arc<dyn Task>>,
    pub(super) next_sequence: u64,
    /// Worker threads, including those that are starting.
    pub(super) threads: usize,
    /// Threads in a slice.
    pub(super) busy: usize,
    /// Those in a slice of an urgent task. The limit does not count them: one that blocks must not
    /// keep the other tasks from their last thread.
    pub(super) busy_urgent: usize,
    /// The most busy threads; at least the number of core threads.
    pub(super) limit: usize,
    /// Workers asleep in `Pool::core` and in `Pool::surplus`.
    pub(super) idle_core: usize,
    pub(super) idle_surplus: usize,
    /// A worker is idle but not asleep yet; see `Pool::yield_before_sleep`.
    pub(super) yielding: bool,
    /// The number of checks of the load so far, when tasks wait.
    pub(super) epoch: u32,
    /// Busy threads whose slice began after the last check.
    pub(super) young: usize,
    /// The last check, and the CPU time of the process then.
    load_at: (Instant, Duration),
    /// Slices that ended since the last check.
    pub(super) ended: usize,
    /// All threads that the pool may have are busy since then, and tasks wait.
    pub(super) full_since: Option<Instant>,
    /// The limit may be too low, so the clock thread must check soon.
    pub(super) wants_check: bool,
    /// The limit permits another thread and a task waits for one, so the clock thread must start it.
    pub(super) lacks_threads: bool,
    pub(super) stopping: bool,
}

impl State {
    pub(super) fn new(core_threads: usize) -> State {
        State {
            queue: unbounded(),
            ready: 0,
            urgent: VecDeque::new(),
            sample: None,
            scheduled: BTreeMap::new(),
            next_sequence: 0,
            threads: 0,
            busy: 0,
            busy_urgent: 0,
            limit: core_threads,
            idle_core: 0,
            idle_surplus: 0,
            yielding: false,
            epoch: 0,
            young: 0,
            load_at: (Instant::now(), Duration::ZERO),
            ended: 0,
            full_since: None,
            wants_check: false,
            lacks_threads: false,
            stopping: false,
        }
    }

    /// The load since the last check; begins the next one.
    pub(super) fn load(&mut self) -> Load {
        let load = Load {
            limit: self.limit,
            ready: self.ready,
            oldest: self.oldest_wait(),
            stuck: self.busy.saturating_sub(self.young),
            ended: self.ended,
            processors: self.use_of_processors(),
        };
        self.epoch = self.epoch.wrapping_add(1);
        self.young = 0;
        self.ended = 0;
        load
    }

    /// The processors that the process has used since the last call.
    fn use_of_processors(&mut self) -> f64 {
        let cpu = ClockId::CLOCK_PROCESS_CPUTIME_ID.now();
        let now = (Instant::now(), cpu.map_or(Duration::ZERO, Duration::from));
        let before = std::mem::replace(&mut self.load_at, now);
        let passed = now.0.duration_since(before.0).as_secs_f64().max(1e-6);
        now.1.saturating_sub(before.1).as_secs_f64() / passed
    }

    /// The time that the sampled task has waited: at most that of the oldest one, and of the same
    /// order.
    fn oldest_wait(&self) -> Duration {
        let sample = self.sample.as_ref();
        sample.map_or(Duration::ZERO, |sample| sample.since.elapsed())
    }

    /// Adds a task to the queue.
    pub(super) fn push(&mut self, task: Arc<dyn Task>) {
        let before = self.ready;
        self.sample.get_or_insert_with(|| Sample {
            before,
            since: Instant::now(),
            is_exact: true,
        });
        // Both halves are here, so it cannot fail.
        self.ready += usize::from(self.queue.0.send(task).is_ok());
    }

    pub(super) fn pop(&mut self) -> Option<Arc<dyn Task>> {
        let task = self.queue.1.try_recv().ok()?;
        self.ready -= 1;
        Some(task)
    }

    /// The further threads that may run tasks, but for urgent ones.
    pub(super) fn free(&self) -> usize {
        let counted = self.busy - self.busy_urgent;
        self.limit.saturating_sub(counted)
    }

    pub(super) fn idle(&self) -> usize {
        usize::from(self.yielding) + self.idle_core + self.idle_surplus
    }

    /// Counts a task that left the queue; returns its time of queueing if its delay is measured.
    pub(super) fn sample_leaves(&mut self) -> Option<Instant> {
        let sample = self.sample.as_mut()?;
        if let Some(before) = sample.before.checked_sub(1) {
            sample.before = before;
            return None;
        }
        let left = self.sample.take()?;
        // Tasks that came meanwhile wait unseen. The last one has waited least.
        self.sample = self.ready.checked_sub(1).map(|before| Sample {
            before,
            since: Instant::now(),
            is_exact: false,
        });
        left.is_exact.then_some(left.since)
    }
}

/// A ready task whose delay is measured.
struct Sample {
    /// The number of ready tasks before it.
    before: usize,
    /// Its time of queueing, or a later one.
    since: Instant,
    is_exact: bool,
}
