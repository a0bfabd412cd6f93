//! The write-stall timeout: a stream whose reader takes no message for this time is aborted, and
//! cut if the reader does not take the status either. This file must not know how messages are
//! sent.
//!
//! Sending a message reads no clock. A response writer that waits for its reader publishes the
//! number of messages taken so far, and a round over all streams compares it with the number of the
//! last one.

use std::time::{Duration, Instant};

use grpcio::RpcStatus;
use humantime::format_duration;

use super::super::termination::Termination;
use super::enforcer::{unavailable, LimitEnforcer};
use super::registry::Step;

/// Rounds in one write-stall timeout.
const ROUNDS_PER_TIMEOUT: u32 = 8;

/// The shortest time between two rounds.
const MIN_ROUND_INTERVAL: Duration = Duration::from_millis(1);

/// A round over all streams, to find stalled readers.
pub(super) struct Round {
    next: Instant,
    /// The number of the next stream to check; `None` between two rounds.
    at: Option<u64>,
}

impl Round {
    pub(super) fn new() -> Round {
        Round {
            next: Instant::now(),
            at: None,
        }
    }
}

impl LimitEnforcer {
    /// Checks one batch of streams for stalled readers if a round is due; returns the time of the
    /// next batch. `None` without a timeout.
    pub(super) fn check_for_stalls(&self, now: Instant) -> Option<Instant> {
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
}

/// The time from one round to the next.
pub(super) fn round_interval(stall: Duration) -> Duration {
    (stall / ROUNDS_PER_TIMEOUT).max(MIN_ROUND_INTERVAL)
}

fn stalled_for(stall: Duration) -> RpcStatus {
    let stall = format_duration(stall);
    unavailable(format!(
        "nothing was read of this stream for {stall}; call again"
    ))
}
