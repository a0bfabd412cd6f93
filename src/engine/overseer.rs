//! Ends streams that are too old, and those whose reader reads nothing for too long: a brief task
//! that comes round while streams are open. It decides when; the drain of each stream does it.
//!
//! Nothing is done for a message, and no clock is read: a drain that has to wait for its reader
//! leaves a number, and whoever comes round compares it with the last one. The streams are looked
//! at in portions, so that a poll thread that admits a call never waits long for their lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use grpcio::{RpcStatus, RpcStatusCode};
use humantime::format_duration;

use super::limits::Limits;
use super::registry::{Registry, Step, PORTION};
use super::workers::{Task, Workers};

/// Rounds in a write-stall timeout.
const ROUNDS: u32 = 8;

/// The shortest time between two rounds.
const LEAST_ROUND: Duration = Duration::from_millis(1);

/// What the reader of a stream that is too old gets to read what was made for it.
const TO_READ_THE_REST: Duration = Duration::from_secs(5);

/// What it then gets to read the status.
const TO_READ_THE_STATUS: Duration = Duration::from_secs(1);

/// As good as never, and still a time that `Instant` can tell.
const FAR_AWAY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Sees to it that the streams of a [`Registry`] keep the limits.
pub(super) struct Overseer {
    registry: Arc<Mutex<Registry>>,
    /// Nothing is overseen when these are gone.
    workers: Weak<Workers>,
    max_age: Option<Duration>,
    stall: Option<Duration>,
    round: Mutex<Round>,
}

/// A round over all streams, to find stalled ones.
struct Round {
    next: Instant,
    /// Where the round has come to; `None` between two of them.
    at: Option<u64>,
    /// What was left by those that waited in the last round, and since when.
    waited: HashMap<u64, (u32, Instant)>,
    /// The same of those that this round has found so far.
    waiting: HashMap<u64, (u32, Instant)>,
}

impl Overseer {
    /// `None` where no limit needs one.
    pub(super) fn new(
        limits: &Limits,
        workers: &Arc<Workers>,
        registry: Arc<Mutex<Registry>>,
    ) -> Option<Arc<Overseer>> {
        let in_reason = |limit: Option<Duration>| limit.map(|limit| limit.min(FAR_AWAY));
        let max_age = in_reason(limits.max_stream_age);
        let stall = in_reason(limits.write_stall_timeout);
        let overseer = Overseer {
            registry,
            workers: Arc::downgrade(workers),
            max_age,
            stall,
            round: Mutex::new(Round {
                next: Instant::now(),
                at: None,
                waited: HashMap::new(),
                waiting: HashMap::new(),
            }),
        };
        (max_age.is_some() || stall.is_some()).then(|| Arc::new(overseer))
    }

    /// Until when a stream that begins now may go on: give or take a tenth of its age.
    pub(super) fn ends(&self) -> Option<Instant> {
        let share = 0.9 + 0.2 * fastrand::f64();
        Some(Instant::now() + self.max_age?.mul_f64(share))
    }

    /// Comes when there is something to do, after a stream was added to `registry`.
    pub(super) fn send_for(self: &Arc<Self>, workers: &Workers, registry: &mut Registry) {
        let first = registry.first_due();
        let round = self.stall.filter(|_| registry.coming.is_none());
        let round = round.map(|stall| Instant::now() + between_rounds(stall));
        if let Some(when) = first.into_iter().chain(round).min() {
            self.come(workers, registry, when);
        }
    }

    /// No later than then.
    fn come(self: &Arc<Self>, workers: &Workers, registry: &mut Registry, when: Instant) {
        match registry.coming {
            Some(timer) if timer.due() <= when => {}
            earlier => {
                registry.coming = Some(workers.submit_at(when, self.clone()));
                if let Some(timer) = earlier {
                    workers.cancel(timer);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Does one portion of what is due, and says what is to be done next.
    fn do_what_is_due(&self, now: Instant) {
        let due = self.lock().take_due(now);
        let mut next = Vec::new();
        for (stream, number, step) in due {
            match step {
                Step::Finish => {
                    stream.ending().finish(self.too_old());
                    next.push((now + TO_READ_THE_REST, number, Step::Abort));
                }
                Step::Abort => {
                    stream.ending().abort(self.too_old());
                    next.push((now + TO_READ_THE_STATUS, number, Step::Cut));
                }
                Step::Cut => stream.ending().cut(),
            }
        }
        self.lock().schedule(next);
    }

    /// Looks at one portion of the streams, if it is time for that; when to come again for the
    /// next one.
    fn look_for_stalls(&self, now: Instant) -> Option<Instant> {
        let stall = self.stall?;
        let mut round = self.round.lock().unwrap_or_else(|e| e.into_inner());
        if round.at.is_none() && now < round.next {
            return Some(round.next);
        }
        let mut at = round.at.unwrap_or(0);
        let mut looked = 0;
        let mut stalled = Vec::new();
        let registry = self.lock();
        for (number, stream) in registry.portion(at) {
            looked += 1;
            at = number + 1;
            let left = stream.ending().unread_since();
            if left == 0 {
                continue;
            }
            let since = match round.waited.get(&number) {
                Some(&(before, since)) if before == left => since,
                _ => now,
            };
            if now.saturating_duration_since(since) >= stall {
                stalled.push((stream.clone(), number));
            }
            round.waiting.insert(number, (left, since));
        }
        drop(registry);
        let cut = now + between_rounds(stall);
        let steps = stalled.iter().map(|(_, number)| (cut, *number, Step::Cut));
        self.lock().schedule(steps);
        for (stream, _) in stalled {
            stream.ending().abort(too_slow(stall));
        }
        if looked == PORTION {
            round.at = Some(at);
            return Some(now);
        }
        round.at = None;
        round.waited = std::mem::take(&mut round.waiting);
        round.next = now + between_rounds(stall);
        Some(round.next)
    }

    fn too_old(&self) -> RpcStatus {
        let age = format_duration(self.max_age.unwrap_or_default());
        unavailable(format!(
            "a stream may be about {age} old, and this one is; call again"
        ))
    }
}

impl Task for Overseer {
    fn run(self: Arc<Self>) {
        // If these are the last ones, they go after the lock.
        let Some(workers) = self.workers.upgrade() else {
            return;
        };
        let now = Instant::now();
        self.lock().coming = None;
        self.do_what_is_due(now);
        let round = self.look_for_stalls(now);
        let mut registry = self.lock();
        // Without streams nobody comes; the next one sends for the overseer.
        let round = round.filter(|_| registry.len() > 0);
        let due = registry.first_due();
        if let Some(when) = due.into_iter().chain(round).min() {
            self.come(&workers, &mut registry, when);
        }
    }

    fn is_brief(&self) -> bool {
        true
    }
}

fn between_rounds(stall: Duration) -> Duration {
    (stall / ROUNDS).max(LEAST_ROUND)
}

fn too_slow(stall: Duration) -> RpcStatus {
    let stall = format_duration(stall);
    unavailable(format!(
        "nothing was read of this stream for {stall}; call again"
    ))
}

fn unavailable(message: String) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, message)
}
