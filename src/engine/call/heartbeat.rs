//! The heartbeat of a call: a message for when no other was sent for an interval. A timer of the
//! workers checks the call's counters every half interval, so sending a message costs nothing more.
//! Here is when one is due; nothing runs here.
//!
//! The timer holds a weak reference: the call owns the heartbeat and drops it with its other user
//! code.

use std::time::Duration;

use super::super::workers::{Timer, MAX_DELAY};
use super::body::Produced;

/// The shortest interval; a check costs a worker some microseconds.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Makes the heartbeat message.
pub(super) type MakeMessage<T> = Box<dyn FnMut() -> Produced<T> + Send>;

pub(super) struct Heartbeat<T> {
    interval: Duration,
    /// `None` while a worker runs it.
    make: Option<MakeMessage<T>>,
    /// Messages that had left the channel at the last check.
    seen: u64,
    /// Half intervals without a message, up to the last check.
    quiet_halves: u32,
    timer: Option<Timer>,
}

impl<T> Heartbeat<T> {
    pub(super) fn new(interval: Duration, make: MakeMessage<T>) -> Heartbeat<T> {
        Heartbeat {
            interval: interval.clamp(MIN_INTERVAL, MAX_DELAY),
            make: Some(make),
            seen: 0,
            // The first check comes after a whole interval.
            quiet_halves: 1,
            timer: None,
        }
    }

    /// Converts the function, before the call has begun.
    pub(super) fn map<U>(
        self,
        map: impl FnOnce(MakeMessage<T>) -> MakeMessage<U>,
    ) -> Option<Heartbeat<U>> {
        Some(Heartbeat::new(self.interval, map(self.make?)))
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// The timer of the next check, to cancel it.
    pub(super) fn timer(&self) -> Option<Timer> {
        self.timer
    }

    pub(super) fn set_timer(&mut self, timer: Timer) {
        self.timer = Some(timer);
    }

    /// At a check: takes the function if a heartbeat is due. `seen` messages have left the channel;
    /// `is_waiting` if more are in it.
    pub(super) fn take_due(&mut self, seen: u64, is_waiting: bool) -> Option<MakeMessage<T>> {
        self.check(seen, is_waiting).then(|| self.make.take())?
    }

    /// Keeps the function until the next heartbeat.
    pub(super) fn put_back(&mut self, make: MakeMessage<T>) {
        self.make = Some(make);
    }

    fn check(&mut self, seen: u64, is_waiting: bool) -> bool {
        let was_quiet = seen == self.seen && !is_waiting;
        self.seen = seen;
        self.quiet_halves = if was_quiet { self.quiet_halves + 1 } else { 0 };
        if self.quiet_halves < 2 {
            return false;
        }
        // The heartbeat counts as one more message and starts the next interval.
        self.seen += 1;
        self.quiet_halves = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeats(checks: &[(u64, bool)]) -> Vec<bool> {
        let mut heartbeat = Heartbeat::new(Duration::ZERO, Box::new(|| Ok(())));
        let checks = checks.iter();
        checks
            .map(|(seen, is_waiting)| heartbeat.check(*seen, *is_waiting))
            .collect()
    }

    #[test]
    fn a_quiet_call_sends_a_heartbeat_once_an_interval() {
        // At 1, 1.5, 2, … intervals; each heartbeat is a message itself.
        let checks = [(0, false), (1, false), (1, false), (2, false), (2, false)];
        assert_eq!(heartbeats(&checks), [true, false, true, false, true]);
    }

    #[test]
    fn a_heartbeat_follows_a_message_after_an_interval() {
        let checks = [(1, false), (1, false), (1, false), (2, false), (9, false)];
        assert_eq!(heartbeats(&checks), [false, false, true, false, false]);
    }

    #[test]
    fn no_heartbeat_is_sent_while_messages_wait() {
        let checks = [(0, true), (0, true), (0, true), (0, false), (0, false)];
        assert_eq!(heartbeats(&checks), [false, false, false, false, true]);
    }
}
