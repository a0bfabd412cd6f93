//! Ends streams that are too old, and streams whose readers stall: a brief task that comes round
//! while streams are open. It decides when; the response writer of each stream does it.
//!
//! Sending a message costs nothing here and reads no clock: a writer that has to wait for its reader
//! leaves a number, and the enforcer compares it with the last one. It visits the streams in batches,
//! so that a poll thread that admits a call never waits long for the registry's lock.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use grpcio::{RpcStatus, RpcStatusCode};
use humantime::format_duration;

use super::super::call::Termination;
use super::super::workers::{Task, Workers, MAX_DELAY};
use super::registry::{Registry, Step};
use super::{Limits, StreamTable};

/// Rounds in a write-stall timeout.
const ROUNDS_PER_TIMEOUT: u32 = 8;

/// The shortest time between two rounds.
const MIN_ROUND_INTERVAL: Duration = Duration::from_millis(1);

/// How long the reader of a stream that is too old has for the messages that were made for it.
const MESSAGES_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it then has for the status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// Enforces the limits of the streams in a [`Registry`].
pub(in crate::engine) struct LimitEnforcer {
    table: Arc<StreamTable>,
    /// The enforcer ends with the pool.
    workers: Weak<Workers>,
    max_age: Option<Duration>,
    stall: Option<Duration>,
    round: Mutex<Round>,
}

/// A round over all streams, to find stalled readers.
struct Round {
    next: Instant,
    /// The stream to go on from; `None` between two rounds.
    at: Option<u64>,
}

impl LimitEnforcer {
    /// `None` when no limit needs one.
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
            round: Mutex::new(Round {
                next: Instant::now(),
                at: None,
            }),
        };
        (max_age.is_some() || stall.is_some()).then(|| Arc::new(enforcer))
    }

    /// When a stream that begins now is too old: its age give or take a tenth.
    pub(in crate::engine) fn max_age_deadline(&self) -> Option<Instant> {
        let share = 0.9 + 0.2 * fastrand::f64();
        Some(Instant::now() + self.max_age?.mul_f64(share))
    }

    /// Schedules the visit that a stream which was just added needs.
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

    /// Takes one batch of the steps that are due, and schedules those that follow.
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

    /// Checks one batch of streams for stalled readers, if a round is due; returns when the next
    /// batch is.
    fn check_for_stalls(&self, now: Instant) -> Option<Instant> {
        let stall = self.stall?;
        let mut round = self.round.lock().unwrap_or_else(|e| e.into_inner());
        if round.at.is_none() && now < round.next {
            return Some(round.next);
        }
        let from = round.at.unwrap_or(0);
        let mut registry = self.table.lock();
        let (stalled, next) = registry.stalled(from, now, stall);
        let cut = now + round_interval(stall);
        registry.schedule(stalled.iter().map(|(_, n)| (cut, *n, Step::Cut)));
        drop(registry);
        for (stream, _) in stalled {
            stream.terminate(Termination::Abort(stalled_for(stall)));
        }
        round.at = next;
        if next.is_some() {
            return Some(now);
        }
        round.next = now + round_interval(stall);
        Some(round.next)
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
        // If this is the last reference, the pool ends after the locks.
        let Some(workers) = self.workers.upgrade() else {
            return;
        };
        let now = Instant::now();
        self.table.lock().next_visit = None;
        self.take_steps(now);
        let round = self.check_for_stalls(now);
        let mut registry = self.table.lock();
        // Without streams there is no visit; the next stream schedules one.
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
