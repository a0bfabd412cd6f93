//! The state of the pool: its tasks and the counts of its threads. It wakes nobody and runs nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{unbounded, Receiver, Sender};

use super::super::stats::HistogramSnapshot;
use super::super::yielding::CpuReading;
use super::growth::Load;
use super::{Task, Timer};

/// One lock protects all fields.
#[derive(Default)]
pub(super) struct PoolState {
    /// The tasks that wait.
    backlog: Backlog,
    /// Their number.
    pub(super) ready: usize,
    /// The number of those that have waited since the last check of the load.
    old: usize,
    /// Ready tasks that come before all others; see [`Task::is_urgent`].
    pub(super) urgent: VecDeque<Arc<dyn Task>>,
    /// A ready task whose delay is measured: the number of tasks before it, and the time of its
    /// queueing.
    sample: Option<(usize, Instant)>,
    pub(super) queue_delay: HistogramSnapshot,
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
    /// Slices that ended since the last check.
    pub(super) ended: usize,
    /// The CPU time of the process at the last check.
    cpu: Option<CpuReading>,
    /// All threads that the pool may have are busy since then, and tasks wait.
    pub(super) full_since: Option<Instant>,
    /// The limit may be too low, so the clock thread must check soon.
    pub(super) wants_check: bool,
    /// The limit permits another thread and a task waits for one, so the clock thread must start it.
    pub(super) lacks_threads: bool,
    pub(super) stopping: bool,
}

/// Grows by blocks: a `VecDeque` of 100,000 tasks would move them all under the lock.
struct Backlog(Sender<Arc<dyn Task>>, Receiver<Arc<dyn Task>>);

impl Default for Backlog {
    fn default() -> Backlog {
        let (sender, receiver) = unbounded();
        Backlog(sender, receiver)
    }
}

impl PoolState {
    pub(super) fn new(limit: usize) -> PoolState {
        PoolState {
            limit,
            ..PoolState::default()
        }
    }

    /// The load since the last check; begins the next one.
    pub(super) fn load(&mut self) -> Load {
        let cpu = CpuReading::take(Instant::now());
        let before = self.cpu.replace(cpu);
        let load = Load {
            limit: self.limit,
            ready: self.ready,
            old: self.old,
            stuck: self.busy.saturating_sub(self.young),
            ended: self.ended,
            processors: before.map_or(0.0, |before| before.processors_until(cpu)),
        };
        self.old = self.ready;
        self.epoch = self.epoch.wrapping_add(1);
        self.young = 0;
        self.ended = 0;
        load
    }

    /// Adds a task to the queue.
    pub(super) fn push(&mut self, task: Arc<dyn Task>) {
        self.sample
            .get_or_insert_with(|| (self.ready, Instant::now()));
        // Both halves are here, so it cannot fail.
        self.ready += usize::from(self.backlog.0.send(task).is_ok());
    }

    pub(super) fn pop(&mut self) -> Option<Arc<dyn Task>> {
        let task = self.backlog.1.try_recv().ok()?;
        self.ready -= 1;
        self.old = self.old.saturating_sub(1);
        self.sample = match self.sample.take() {
            Some((0, since)) => {
                self.queue_delay.record(since.elapsed());
                None
            }
            sample => sample.map(|(before, since)| (before - 1, since)),
        };
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
}
