//! The clock thread of the pool: it hands due tasks to the workers, and adjusts the number of
//! threads while tasks wait. It runs brief tasks only, so a blocked task never delays a due one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::panic::run_caught;
use super::growth::{Decision, Growth, Load};
use super::pool::{CheckRate, Pool, State, Wakes};
use super::Task;

/// Due tasks move to the ready queue in batches, so that a poll thread waits for the lock at most
/// 30 µs.
const DUE_BATCH: usize = 16;

/// Check intervals: from the first waiting task to the first check, after a raised limit, the
/// maximum while tasks wait, and the maximum while no task waits. A check takes 0.4 µs a thread.
const FIRST_INTERVAL: Duration = Duration::from_millis(2);
const MIN_INTERVAL: Duration = Duration::from_millis(1);
const MAX_BUSY_INTERVAL: Duration = Duration::from_millis(8);
const MAX_INTERVAL: Duration = Duration::from_millis(64);

/// While the limit does not change, slices are measured after two checks in eight: measuring makes
/// tiny slices 1.5 times as expensive.
const MEASURED_CYCLE: u32 = 8;

/// The schedule of the load checks.
struct Checks {
    growth: Growth,
    next: Option<Instant>,
    interval: Duration,
    /// Checks since the last one that was urgent.
    calm: u32,
}

impl Pool {
    /// Runs the clock thread.
    pub(super) fn run_clock(self: Arc<Self>) {
        let mut checks = Checks {
            growth: Growth::new(self.core_threads, self.max_threads),
            next: None,
            interval: FIRST_INTERVAL,
            calm: 0,
        };
        let mut state = self.lock();
        while !state.stopping {
            let now = Instant::now();
            let mut wakes = Wakes::default();
            let mut brief = Vec::new();
            let more = self.release_due(&mut state, now, &mut brief, &mut wakes);
            let next_due = state.scheduled.first_key_value();
            let next_due = next_due.map(|(timer, _)| timer.due);
            let begins = checks.plan(&mut state, now);
            let is_check = checks.next.is_some_and(|next| next <= now);
            if more || begins || is_check || !brief.is_empty() || wakes.is_any() {
                let load = Load {
                    limit: state.limit,
                    busy: state.busy,
                    ready: state.ready(),
                };
                drop(state);
                self.wake(wakes);
                for task in brief {
                    run_caught("a brief task", || task.run());
                }
                if begins {
                    checks.growth.begin(&self.roster, &self.slice_times);
                } else if is_check {
                    self.check(&mut checks, load);
                }
                state = self.lock();
                continue;
            }
            let until = next_due.into_iter().chain(checks.next).min();
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

    /// Adjusts the limit on busy threads, and starts missing threads.
    fn check(self: &Arc<Self>, checks: &mut Checks, load: Load) {
        let Decision {
            limit,
            may_rise_soon,
        } = checks.growth.check(&self.roster, &self.slice_times, load);
        let mut wakes = Wakes::default();
        let mut state = self.lock();
        let mut started = 0;
        // The limit may have fallen meanwhile, because threads ended.
        if state.limit == load.limit {
            state.limit = limit;
            started = self.fill_limit(&mut state, &mut wakes);
        }
        let is_surplus_busy = state.busy > self.core_threads;
        checks.plan_next(
            &mut state,
            limit > load.limit || may_rise_soon,
            is_surplus_busy,
        );
        drop(state);
        self.wake(wakes);
        if let Err(error) = self.start_workers(started) {
            // The other threads continue; a later check tries again.
            tracing::warn!(%error, "cannot start another worker thread");
        }
    }
}

impl Checks {
    /// Begins or ends a series of checks; true if it begins.
    fn plan(&mut self, state: &mut State, now: Instant) -> bool {
        let is_slow = self.interval > MAX_BUSY_INTERVAL;
        match state.check_rate {
            CheckRate::None => {
                self.next = None;
                state.measuring = false;
                false
            }
            CheckRate::Slow if self.next.is_some() => false,
            CheckRate::Fast if self.next.is_some() && !is_slow => false,
            _ => {
                self.interval = FIRST_INTERVAL;
                self.next = Some(now + FIRST_INTERVAL);
                self.calm = 0;
                true
            }
        }
    }

    /// Plans the check after this one: soon if the limit rose or may rise, else after a doubled
    /// interval.
    fn plan_next(&mut self, state: &mut State, is_urgent: bool, is_surplus_busy: bool) {
        let is_waiting = state.ready() > 0;
        let slowest = match is_waiting {
            true => MAX_BUSY_INTERVAL,
            false => MAX_INTERVAL,
        };
        self.interval = match is_urgent {
            true => MIN_INTERVAL,
            false => (2 * self.interval).min(slowest),
        };
        self.calm = if is_urgent { 0 } else { self.calm + 1 };
        state.measuring = (is_waiting || is_surplus_busy) && self.calm % MEASURED_CYCLE < 2;
        if !is_waiting && self.interval > MAX_BUSY_INTERVAL {
            state.check_rate = match is_surplus_busy {
                true => CheckRate::Slow,
                false => CheckRate::None,
            };
        }
        self.next = Some(Instant::now() + self.interval);
    }
}
