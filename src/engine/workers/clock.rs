//! The clock thread of the pool: it hands due tasks to the workers, and adjusts the number of
//! threads while tasks wait. It runs brief tasks only, so a blocked task never delays a due one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::panic::run_caught;
use super::growth::PATIENCE;
use super::pool::{Pool, Wakes};
use super::state::PoolState;
use super::watch::TICK;
use super::Task;

/// Due tasks move to the ready queue in batches, so that a poll thread waits for the lock at most
/// 30 µs.
const DUE_BATCH: usize = 16;

/// The time between two checks while the limit can neither rise nor fall.
const CALM_INTERVAL: Duration = Duration::from_millis(640);

/// A full pool is logged after this time, once until it is no longer full.
const FULL_IS_LOGGED_AFTER: Duration = Duration::from_secs(1);

/// The checks of the load.
#[derive(Default)]
struct Checks {
    /// `None` while no task waits and the limit is at its least.
    next: Option<Instant>,
    is_full_logged: bool,
    /// The number of tasks that wait for a full pool, to be logged outside the lock.
    to_log: Option<usize>,
}

impl Pool {
    /// Runs the clock thread.
    pub(super) fn run_clock(self: Arc<Self>) {
        let mut checks = Checks::default();
        let mut looked = Instant::now();
        let mut idle_ticks = 0;
        let mut state = self.lock();
        while !state.stopping {
            if self.watch.is_on() && looked.elapsed() >= TICK {
                drop(state);
                self.watch.look(&mut idle_ticks);
                looked = Instant::now();
                state = self.lock();
            }
            let now = Instant::now();
            let (mut wakes, mut brief) = (Wakes::default(), Vec::new());
            let more = self.release_due(&mut state, now, &mut brief, &mut wakes);
            let starts = self.check(&mut state, &mut checks, now, &mut wakes);
            let to_log = checks.to_log.take();
            if more || starts > 0 || !brief.is_empty() || wakes.is_any() || to_log.is_some() {
                drop(state);
                if let Some(waiting) = to_log {
                    let threads = self.max_threads;
                    tracing::warn!(
                        threads,
                        waiting,
                        "all worker threads are busy, and calls wait"
                    );
                }
                self.wake(wakes);
                let started = self.start_workers(starts);
                for task in brief {
                    run_caught("a brief task", || task.run());
                }
                state = self.lock();
                if let Err(error) = started {
                    // The other threads continue; a later check tries again.
                    tracing::warn!(%error, "cannot start another worker thread");
                    state.wants_check = true;
                }
                continue;
            }
            let next_due = state.scheduled.first_key_value();
            let next_due = next_due.map(|(timer, _)| timer.due);
            let look = self.watch.is_on().then_some(looked + TICK);
            let until = next_due.into_iter().chain(checks.next).chain(look).min();
            state = match until {
                None => self.clock.wait(state).unwrap_or_else(|e| e.into_inner()),
                Some(until) => {
                    let wait = until.saturating_duration_since(Instant::now());
                    let woken = self.clock.wait_timeout(state, wait);
                    woken.unwrap_or_else(|e| e.into_inner()).0
                }
            };
        }
    }

    /// Hands one batch of due tasks to the workers, and the brief ones to the clock; true if more
    /// are due.
    pub(super) fn release_due(
        &self,
        state: &mut PoolState,
        now: Instant,
        brief: &mut Vec<Arc<dyn Task>>,
        wakes: &mut Wakes,
    ) -> bool {
        for _ in 0..DUE_BATCH {
            match state.scheduled.first_entry() {
                Some(first) if first.key().due <= now => {
                    let task = first.remove();
                    match task.is_brief() {
                        true => brief.push(task),
                        false => self.make_ready(state, task, wakes),
                    }
                }
                _ => return false,
            }
        }
        true
    }

    /// Adjusts the limit on busy threads if it is time, and wakes threads for waiting tasks. Returns
    /// the number of threads to start.
    fn check(
        &self,
        state: &mut PoolState,
        checks: &mut Checks,
        now: Instant,
        wakes: &mut Wakes,
    ) -> usize {
        let soon = now + PATIENCE;
        let is_far = |next| next > soon && state.limit < self.max_threads;
        if state.wants_check && checks.next.is_none_or(is_far) {
            // The first task that waits: the busy threads may make it wait for long.
            state.load();
            checks.next = Some(soon);
        }
        let is_due = checks.next.is_some_and(|next| next <= now);
        if is_due {
            let before = state.limit;
            state.limit = state.load().new_limit(self.core_threads, self.max_threads);
            state.wants_check = state.ready > 0;
            let may_rise = state.wants_check && state.limit < self.max_threads;
            let is_needed = state.wants_check || state.limit > self.core_threads;
            checks.next = match may_rise || state.limit != before {
                true => Some(soon),
                false => is_needed.then_some(now + CALM_INTERVAL),
            };
            checks.watch_full(state, now, self.max_threads);
        }
        match is_due || state.lacks_threads {
            true => self.fill_limit(state, wakes),
            false => 0,
        }
    }
}

impl Checks {
    /// Notes since when the pool has been full, and whether to log it now.
    fn watch_full(&mut self, state: &mut PoolState, now: Instant, max_threads: usize) {
        if state.ready == 0 || state.busy < max_threads {
            state.full_since = None;
            self.is_full_logged = false;
            return;
        }
        let since = *state.full_since.get_or_insert(now);
        if !self.is_full_logged && now.duration_since(since) >= FULL_IS_LOGGED_AFTER {
            self.is_full_logged = true;
            self.to_log = Some(state.ready);
        }
    }
}
