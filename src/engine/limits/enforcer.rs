//! The limit enforcer: a brief task that the clock thread runs while streams are open. It ends
//! streams that are too old, and those whose readers stall. The response writer carries that out;
//! this file must not know how messages are sent.
//!
//! | step | the client gets | next step |
//! | --- | --- | --- |
//! | `Graceful` | the messages in the channel, then UNAVAILABLE | `Abort`, after [`MESSAGES_TIMEOUT`] |
//! | `Abort` | UNAVAILABLE | `Cut`, after [`STATUS_TIMEOUT`] |
//! | `Cut` | no status: the C-core's call is cancelled | none |
//!
//! An old stream begins with `Graceful`, a stalled one with `Abort`, and its `Cut` comes one round
//! later. A stream that has ended leaves the table, and its remaining steps are skipped.
//!
//! Sending a message reads no clock. A response writer that waits for its reader publishes the
//! number of messages taken so far, and a round over all streams compares it with the number of the
//! last one.
//!
//! Each visit handles one batch of streams, so a poll thread that admits a call never waits long
//! for the registry's lock.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use grpcio::{RpcStatus, RpcStatusCode};
use humantime::format_duration;

use super::super::sync::lock;
use super::super::termination::Termination;
use super::super::workers::{Task, Workers, MAX_DELAY};
use super::registry::{Registry, Step};
use super::{Limits, StreamTable};

/// The time that a reader has for the messages that were made before its stream became too old.
const MESSAGES_TIMEOUT: Duration = Duration::from_secs(5);

/// The time that the reader then has for the status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// Rounds in one write-stall timeout.
const ROUNDS_PER_TIMEOUT: u32 = 8;

/// The shortest time between two rounds.
const MIN_ROUND_INTERVAL: Duration = Duration::from_millis(1);

/// Enforces the limits of the streams in a [`Registry`].
pub(in crate::engine) struct LimitEnforcer {
    table: Arc<StreamTable>,
    /// Weak: the enforcer is a task of the pool and must not keep it.
    workers: Weak<Workers>,
    max_age: Option<Duration>,
    stall: Option<Duration>,
    round: Mutex<Round>,
}

/// A round over all streams, to find stalled readers: its next batch.
struct Round {
    due: Instant,
    /// The number of the first stream.
    from: u64,
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
        let round = Round {
            due: Instant::now(),
            from: 0,
        };
        let enforcer = LimitEnforcer {
            table,
            workers: Arc::downgrade(workers),
            max_age,
            stall,
            round: Mutex::new(round),
        };
        (max_age.is_some() || stall.is_some()).then(|| Arc::new(enforcer))
    }

    /// When a stream that begins now becomes too old.
    pub(in crate::engine) fn max_age_deadline(&self) -> Option<Instant> {
        Some(Instant::now() + spread(self.max_age?))
    }

    /// Schedules the next visit early enough for a stream that was just added.
    pub(in crate::engine) fn schedule(
        self: &Arc<Self>,
        workers: &Workers,
        registry: &mut Registry,
    ) {
        let round = self.stall.filter(|_| registry.next_visit.is_none());
        let round = round.map(|stall| Instant::now() + round_interval(stall));
        self.visit_for(workers, registry, round);
    }

    /// Schedules the next visit for the next batch of the round and the next due step.
    fn visit_for(
        self: &Arc<Self>,
        workers: &Workers,
        registry: &mut Registry,
        round: Option<Instant>,
    ) {
        let Some(when) = registry.first_due().into_iter().chain(round).min() else {
            return;
        };
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

    /// Takes one batch of due steps, and schedules the step that follows each.
    fn take_steps(&self, now: Instant) {
        let due = self.table.lock().take_due(now);
        let mut next = Vec::new();
        for (stream, number, step) in due {
            stream.terminate(match step {
                Step::Graceful => {
                    next.push((now + MESSAGES_TIMEOUT, number, Step::Abort));
                    Termination::Graceful(self.too_old())
                }
                Step::Abort => {
                    next.push((now + STATUS_TIMEOUT, number, Step::Cut));
                    Termination::Abort(self.too_old())
                }
                Step::Cut => Termination::Cut,
            });
        }
        self.table.lock().schedule(next);
    }

    /// Checks one batch of streams for stalled readers if one is due; returns the time of the next
    /// batch. `None` without a timeout.
    fn check_for_stalls(&self, now: Instant) -> Option<Instant> {
        let stall = self.stall?;
        let mut round = lock(&self.round);
        if now < round.due {
            return Some(round.due);
        }
        let next_round = now + round_interval(stall);
        let mut registry = self.table.lock();
        let (stalled, next) = registry.stalled(round.from, now, stall);
        registry.schedule(stalled.iter().map(|(_, n)| (next_round, *n, Step::Cut)));
        drop(registry);
        for (stream, _) in stalled {
            stream.terminate(Termination::Abort(stalled_for(stall)));
        }
        round.due = if next.is_some() { now } else { next_round };
        round.from = next.unwrap_or(0);
        Some(round.due)
    }

    fn too_old(&self) -> RpcStatus {
        let age = format_duration(self.max_age.unwrap_or_default());
        unavailable(format!(
            "a stream may be about {age} old, and this one is; call again"
        ))
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
        self.visit_for(&workers, &mut registry, round);
    }

    fn is_brief(&self) -> bool {
        true
    }
}

/// The time from one round to the next.
fn round_interval(stall: Duration) -> Duration {
    (stall / ROUNDS_PER_TIMEOUT).max(MIN_ROUND_INTERVAL)
}

fn stalled_for(stall: Duration) -> RpcStatus {
    let stall = format_duration(stall);
    unavailable(format!(
        "nothing was read of this stream for {stall}; call again"
    ))
}

fn unavailable(message: String) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, message)
}

/// The age, give or take a tenth, so that streams that began together do not end together.
fn spread(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_spread_over_a_fifth() {
        const AGE: Duration = Duration::from_secs(10);
        let ages = || (0..100).map(|_| spread(AGE));
        let (first, last) = (ages().min().unwrap(), ages().max().unwrap());
        assert!(first >= AGE * 9 / 10 && last <= AGE * 11 / 10);
        // The probability that one half has none is below one in 10^29.
        assert!(first < AGE && last > AGE, "{first:?}, {last:?}");
    }
}
