//! The clock thread of the pool: it hands due tasks to the workers, and adjusts the number of
//! threads while tasks wait. It runs brief tasks only, so a blocked task never delays a due one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::panic::run_caught;
use super::growth::{Growth, Load, PATIENCE};
use super::pool::{Pool, Wakes};
use super::state::State;
use super::watch::TICK;
use super::Task;

/// Due tasks move to the ready queue in batches, so that a poll thread waits for the lock at most
/// 30 µs.
const DUE_BATCH: usize = 16;

/// The longest time between two checks while no task waits, but more threads may be busy than
/// processors exist.
const MAX_INTERVAL: Duration = Duration::from_millis(640);

/// A full pool is logged after this time, once until it is no longer full.
const FULL_IS_LOGGED_AFTER: Duration = Duration::from_secs(1);

/// The schedule of the load checks: none while no task waits and the limit is at its least.
struct Checks {
    next: Option<Instant>,
    interval: Duration,
    /// The interval is the shortest, since the limit changes or may rise.
    is_fast: bool,
    growth: Growth,
    full: Full,
}

impl Pool {
    /// Runs the clock thread.
    pub(super) fn run_clock(self: Arc<Self>) {
        let mut checks = Checks {
            next: None,
            interval: PATIENCE,
            is_fast: false,
            growth: Growth::default(),
            full: Full::No,
        };
        let mut looked = Instant::now();
        let mut state = self.lock();
        while !state.stopping {
            if self.watch.is_on() && looked.elapsed() >= TICK {
                drop(state);
                self.watch.look();
                looked = Instant::now();
                state = self.lock();
            }
            let now = Instant::now();
            let mut wakes = Wakes::default();
            let mut brief = Vec::new();
            let more = self.release_due(&mut state, now, &mut brief, &mut wakes);
            let next_due = state.scheduled.first_key_value();
            let next_due = next_due.map(|(timer, _)| timer.due);
            let starts = self.check(&mut state, &mut checks, now, &mut wakes);
            let is_full = matches!(checks.full, Full::ToLog(_));
            if more || starts > 0 || !brief.is_empty() || wakes.is_any() || is_full {
                drop(state);
                if let Full::ToLog(waiting) = checks.full {
                    checks.full = Full::Logged;
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
        state: &mut State,
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
        state: &mut State,
        checks: &mut Checks,
        now: Instant,
        wakes: &mut Wakes,
    ) -> usize {
        let may_rise = state.wants_check && state.limit < self.max_threads;
        if may_rise && !checks.is_fast {
            // The first task that waits: the busy threads may make it wait for long.
            checks.is_fast = true;
            state.load();
            checks.next = Some(now + PATIENCE);
        }
        let is_due = checks.next.is_some_and(|next| next <= now);
        if is_due {
            let load = state.load();
            let before = state.limit;
            let limit = checks
                .growth
                .limit(load, self.core_threads, self.max_threads);
            state.limit = limit;
            state.wants_check = load.ready > 0;
            let may_rise = state.wants_check && limit < self.max_threads;
            checks.is_fast = may_rise || limit != before;
            checks.interval = match checks.is_fast {
                true => PATIENCE,
                false => (2 * checks.interval).min(MAX_INTERVAL),
            };
            checks.next = None;
            checks.watch_full(state, load, now, self.max_threads);
        }
        let is_needed = state.wants_check || state.limit > self.core_threads;
        if checks.next.is_none() && is_needed {
            checks.next = Some(now + checks.interval);
        }
        match is_due || state.lacks_threads {
            true => self.fill_limit(state, wakes),
            false => 0,
        }
    }
}

impl Checks {
    /// Notes since when the pool has been full, and whether to log it now.
    fn watch_full(&mut self, state: &mut State, load: Load, now: Instant, max_threads: usize) {
        if load.ready == 0 || state.busy < max_threads {
            state.full_since = None;
            self.full = Full::No;
            return;
        }
        let since = *state.full_since.get_or_insert(now);
        if matches!(self.full, Full::No) && now.duration_since(since) >= FULL_IS_LOGGED_AFTER {
            self.full = Full::ToLog(load.ready);
        }
    }
}

/// Whether the log says that the pool is full.
enum Full {
    No,
    /// To be logged, with the number of tasks that wait.
    ToLog(usize),
    Logged,
}
