//! The heartbeat of a call: sends a message when no other was sent for an interval. A timer of the
//! workers checks the call's counters every half interval, so sending a message costs nothing more.
//!
//! The timer holds a weak reference: the call owns the heartbeat and drops it with its other user
//! code.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::super::channel::SendError;
use super::super::panic::drop_caught;
use super::super::workers::{Task, Timer, MAX_DELAY};
use super::job::Produced;
use super::run::run_user_code;
use super::Call;

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

    /// The timer of the next check, to cancel it.
    pub(super) fn timer(&self) -> Option<Timer> {
        self.timer
    }

    /// Whether a heartbeat is due. `seen` messages have left the channel; `is_waiting` if more are
    /// in it.
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

/// The next heartbeat check of a call.
struct HeartbeatCheck<T: Send + 'static>(Weak<Call<T>>);

impl<T: Send + 'static> Task for HeartbeatCheck<T> {
    fn run(self: Arc<Self>) {
        if let Some(call) = self.0.upgrade() {
            call.check_heartbeat();
        }
    }
}

impl<T: Send + 'static> Call<T> {
    /// Schedules the first check.
    pub(super) fn start_heartbeat(self: &Arc<Self>, heartbeat: &mut Heartbeat<T>) {
        let first = self.arrived.checked_add(heartbeat.interval);
        self.schedule_check(heartbeat, first.unwrap_or_else(Instant::now));
    }

    fn schedule_check(self: &Arc<Self>, heartbeat: &mut Heartbeat<T>, due: Instant) {
        let check = Arc::new(HeartbeatCheck(Arc::downgrade(self)));
        heartbeat.timer = Some(self.workers.submit_at(due, check));
    }

    fn check_heartbeat(self: &Arc<Self>) {
        let mut state = self.lock();
        if self.is_finished() {
            return;
        }
        let is_waiting = self.sender.slots_taken() > 0 || self.terminator.waiting_at() != 0;
        let messages = self.counters.counts().messages;
        let Some(heartbeat) = state.heartbeat() else {
            return;
        };
        self.schedule_check(heartbeat, Instant::now() + heartbeat.interval / 2);
        if !heartbeat.check(messages, is_waiting) {
            return;
        }
        // `None` while another worker is in a `make` that takes longer than an interval.
        let Some(mut make) = heartbeat.make.take() else {
            return;
        };
        // A call with a worker in user code does not end with OK.
        state.active += 1;
        drop(state);
        match run_user_code("a heartbeat", &mut make) {
            Ok(message) if !self.sender.is_closed() => {
                if let Err(SendError(message)) = self.sender.send_ignoring_capacity(message) {
                    drop_caught(message);
                }
            }
            Ok(message) => drop_caught(message),
            Err(status) => self.fail(status),
        }
        let mut state = self.lock();
        match state.heartbeat() {
            Some(heartbeat) => heartbeat.make = Some(make),
            // The call has ended meanwhile.
            None => {
                drop(state);
                drop_caught(make);
                state = self.lock();
            }
        }
        state.active -= 1;
        self.conclude(state, false);
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
