//! The heartbeat of a call: a message when there was none for an interval. It looks at counters every half interval, so
//! a message costs it nothing.
//!
//! A timer of the workers brings each look. It does not keep the call: that has the heartbeat with its other user code,
//! and drops it at its end.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::super::channel::SendError;
use super::super::panic::drop_caught;
use super::super::workers::{Task, Timer, MAX_DELAY};
use super::job::Produced;
use super::run::run_user_code;
use super::Call;

/// The shortest interval; a look costs a worker some microseconds.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Makes the message of a beat.
pub(super) type MakeBeat<T> = Box<dyn FnMut() -> Produced<T> + Send>;

pub(super) struct Heartbeat<T> {
    interval: Duration,
    /// A worker that makes a beat has it.
    make: Option<MakeBeat<T>>,
    /// Messages that had left the channel at the last look.
    seen: u64,
    /// Half intervals, up to the last look, without a message.
    quiet_halves: u32,
    timer: Option<Timer>,
}

impl<T> Heartbeat<T> {
    pub(super) fn new(interval: Duration, make: MakeBeat<T>) -> Heartbeat<T> {
        Heartbeat {
            interval: interval.clamp(MIN_INTERVAL, MAX_DELAY),
            make: Some(make),
            seen: 0,
            // The first look comes after a whole interval.
            quiet_halves: 1,
            timer: None,
        }
    }

    /// The same with another function, before the call has begun.
    pub(super) fn map<U>(
        self,
        map: impl FnOnce(MakeBeat<T>) -> MakeBeat<U>,
    ) -> Option<Heartbeat<U>> {
        Some(Heartbeat::new(self.interval, map(self.make?)))
    }

    /// The next look, to be cancelled.
    pub(super) fn timer(&self) -> Option<Timer> {
        self.timer
    }

    /// True if a beat is due, given how many messages have left the channel and whether any wait.
    fn check(&mut self, seen: u64, is_waiting: bool) -> bool {
        let was_quiet = seen == self.seen && !is_waiting;
        self.seen = seen;
        self.quiet_halves = if was_quiet { self.quiet_halves + 1 } else { 0 };
        if self.quiet_halves < 2 {
            return false;
        }
        // The beat will be a message more, and starts the next interval.
        self.seen += 1;
        self.quiet_halves = 0;
        true
    }
}

/// The next look at the heartbeat of a call.
struct HeartbeatCheck<T: Send + 'static>(Weak<Call<T>>);

impl<T: Send + 'static> Task for HeartbeatCheck<T> {
    fn run(self: Arc<Self>) {
        if let Some(call) = self.0.upgrade() {
            call.check_heartbeat();
        }
    }
}

impl<T: Send + 'static> Call<T> {
    /// Schedules the first look, if the call has a heartbeat.
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
        // `None` while another worker makes a beat, for longer than an interval.
        let Some(mut make) = heartbeat.make.take() else {
            return;
        };
        // A call with a worker in its user code does not end with OK.
        state.active += 1;
        drop(state);
        match run_user_code("a heartbeat", &mut make) {
            Ok(beat) if !self.sender.is_closed() => {
                if let Err(SendError(beat)) = self.sender.send_ignoring_capacity(beat) {
                    drop_caught(beat);
                }
            }
            Ok(beat) => drop_caught(beat),
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

    fn beats(checks: &[(u64, bool)]) -> Vec<bool> {
        let mut heartbeat = Heartbeat::new(Duration::ZERO, Box::new(|| Ok(())));
        let checks = checks.iter();
        checks
            .map(|(seen, is_waiting)| heartbeat.check(*seen, *is_waiting))
            .collect()
    }

    #[test]
    fn a_quiet_call_beats_once_an_interval() {
        // At 1, 1.5, 2, … intervals; each beat is a message itself.
        let checks = [(0, false), (1, false), (1, false), (2, false), (2, false)];
        assert_eq!(beats(&checks), [true, false, true, false, true]);
    }

    #[test]
    fn after_a_message_an_interval_passes_first() {
        let checks = [(1, false), (1, false), (1, false), (2, false), (9, false)];
        assert_eq!(beats(&checks), [false, false, true, false, false]);
    }

    #[test]
    fn nothing_beats_while_messages_wait() {
        let checks = [(0, true), (0, true), (0, true), (0, false), (0, false)];
        assert_eq!(beats(&checks), [false, false, false, false, true]);
    }
}
