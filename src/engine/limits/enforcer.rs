//! The limit enforcer: a brief task that the clock thread runs while streams are open. It calls
//! [`stream_age`](super::stream_age) and [`write_stall`](super::write_stall), which decide; it must
//! not know how a stream ends.
//!
//! Each visit handles one batch of streams, so a poll thread that admits a call never waits long
//! for the registry's lock.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use grpcio::{RpcStatus, RpcStatusCode};

use super::super::workers::{Task, Workers, MAX_DELAY};
use super::registry::Registry;
use super::write_stall::{round_interval, Round};
use super::{Limits, StreamTable};

/// Enforces the limits of the streams in a [`Registry`].
pub(in crate::engine) struct LimitEnforcer {
    pub(super) table: Arc<StreamTable>,
    /// Weak: the enforcer is a task of the pool and must not keep it.
    workers: Weak<Workers>,
    pub(super) max_age: Option<Duration>,
    pub(super) stall: Option<Duration>,
    pub(super) round: Mutex<Round>,
}

impl LimitEnforcer {
    /// `None` if neither limit is set.
    pub(in crate::engine) fn new(
        limits: &Limits,
        workers: &Arc<Workers>,
        table: Arc<StreamTable>,
    ) -> Option<Arc<LimitEnforcer>> {
        let max_age = limits.max_stream_age.map(|age| age.min(MAX_DELAY));
        let stall = limits.write_stall_timeout.map(|stall| stall.min(MAX_DELAY));
        let enforcer = LimitEnforcer {
            table,
            workers: Arc::downgrade(workers),
            max_age,
            stall,
            round: Mutex::new(Round::new()),
        };
        (max_age.is_some() || stall.is_some()).then(|| Arc::new(enforcer))
    }

    /// Schedules the next visit early enough for a stream that was just added.
    pub(in crate::engine) fn schedule(
        self: &Arc<Self>,
        workers: &Workers,
        registry: &mut Registry,
    ) {
        let round = self.stall.filter(|_| registry.next_visit.is_none());
        let round = round.map(|stall| Instant::now() + round_interval(stall));
        if let Some(when) = registry.first_due().into_iter().chain(round).min() {
            self.visit_by(workers, registry, when);
        }
    }

    fn visit_by(self: &Arc<Self>, workers: &Workers, registry: &mut Registry, when: Instant) {
        match registry.next_visit {
            Some(timer) if timer.due() <= when => {}
            later => {
                registry.next_visit = Some(workers.submit_at(when, self.clone()));
                if let Some(timer) = later {
                    workers.cancel(timer);
                }
            }
        }
    }
}

impl Task for LimitEnforcer {
    fn run(self: Arc<Self>) {
        // Upgraded before any lock: dropping the last reference ends the pool, outside the locks.
        let Some(workers) = self.workers.upgrade() else {
            return;
        };
        let now = Instant::now();
        self.table.lock().next_visit = None;
        self.take_steps(now);
        let round = self.check_for_stalls(now);
        let mut registry = self.table.lock();
        // Without streams the visits end; the next stream schedules one.
        let round = round.filter(|_| registry.open() > 0);
        let due = registry.first_due();
        if let Some(when) = due.into_iter().chain(round).min() {
            self.visit_by(&workers, &mut registry, when);
        }
    }

    fn is_brief(&self) -> bool {
        true
    }
}

pub(super) fn unavailable(message: String) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, message)
}
