//! Hands out the calls one by one and tracks their ends. It must not know how a call is made, and
//! it starts no threads.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::flags::LoadArgs;
use super::output::Output;
use super::record::{Record, Recording};
use super::status;
use super::summary::{Summary, Tally};

/// The calls of one run.
pub struct Calls {
    count: usize,
    in_flight: usize,
    connections: usize,
    first_id: i32,
    ramp: Duration,
    recording: Recording,
    stall: bool,
    /// The output for responses, with `--print`.
    print: Option<Output>,
    /// The number of the next call.
    next: AtomicUsize,
    /// The time of the first turn.
    began: OnceLock<Instant>,
    state: Mutex<State>,
    all_over: Condvar,
}

#[derive(Default)]
struct State {
    tally: Tally,
    /// The number of calls that have ended or are held.
    over: usize,
    /// The held calls, with their streams.
    held: Vec<(Record, Box<dyn Any + Send>)>,
}

impl Calls {
    /// The warm-up calls: without ramp, output or records, and on all connections at the same time.
    pub fn warm_up(args: &LoadArgs) -> Calls {
        let count = match args.warm_up {
            _ if args.stall => 0,
            Some(count) => count,
            None => args.connections,
        };
        Calls {
            count,
            in_flight: args.in_flight.max(args.connections),
            ramp: Duration::ZERO,
            recording: Recording::default(),
            stall: false,
            ..Calls::measured(args, None)
        }
    }

    /// The measured calls.
    pub fn measured(args: &LoadArgs, print: Option<Output>) -> Calls {
        Calls {
            count: args.calls,
            // A stalled call never makes room for another one.
            in_flight: if args.stall {
                args.calls
            } else {
                args.in_flight
            },
            connections: args.connections,
            first_id: args.id,
            ramp: args.ramp,
            recording: Recording {
                samples: args.samples,
                step: args.step,
            },
            stall: args.stall,
            print,
            next: AtomicUsize::new(0),
            began: OnceLock::new(),
            state: Mutex::default(),
            all_over: Condvar::new(),
        }
    }

    /// The maximum number of calls in flight, at most the number of calls.
    pub fn in_flight(&self) -> usize {
        self.in_flight.min(self.count)
    }

    /// The next turn; `None` if no call is left.
    pub fn next(self: &Arc<Calls>) -> Option<Turn> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.count).then(|| Turn {
            index,
            calls: self.clone(),
        })
    }

    /// Blocks until every call has ended or is held.
    pub fn wait(&self) {
        let mut state = self.lock();
        while state.over < self.count {
            state = self
                .all_over
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Cancels the calls that are held.
    pub fn release(&self) {
        let held = std::mem::take(&mut self.lock().held);
        for (record, stream) in held {
            drop(stream); // which is how a stream is cancelled, in every library
            self.lock()
                .tally
                .add(record, status::CANCELLED, Instant::now());
        }
    }

    /// Takes the results of the calls; works once.
    pub fn summary(&self) -> Summary {
        std::mem::take(&mut self.lock().tally).summary(self.count, self.recording)
    }

    /// Updates the state after a call has ended or is held.
    fn over(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.over += 1;
        if state.over == self.count {
            self.all_over.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn to make a call.
pub struct Turn {
    index: usize,
    calls: Arc<Calls>,
}

impl Turn {
    /// The id to request.
    pub fn id(&self) -> i32 {
        // The flags were checked: no id is more than an int32.
        self.calls.first_id.wrapping_add(self.index as i32)
    }

    /// The connection to use, counted from 0.
    pub fn connection(&self) -> usize {
        self.index % self.calls.connections
    }

    /// The time left until the call may start.
    pub fn early(&self) -> Duration {
        let calls = &self.calls;
        let began = *calls.began.get_or_init(Instant::now);
        let after = calls.ramp.mul_f64(self.index as f64 / calls.count as f64);
        after.saturating_sub(began.elapsed())
    }

    /// Starts the clock of the call; call it before the request is sent.
    pub fn start(self) -> Call {
        Call {
            id: self.id(),
            record: Record::new(self.calls.recording, Instant::now()),
            calls: self.calls,
        }
    }
}

/// A started call. Its owner must [end](Call::end) or [hold](Call::hold) it.
pub struct Call {
    id: i32,
    record: Record,
    calls: Arc<Calls>,
}

impl Call {
    /// Records a response. Returns true if the call must be [held](Call::hold) now.
    #[inline]
    #[must_use]
    pub fn response(&mut self, result: &str) -> bool {
        self.record.response(result.len());
        if let Some(output) = &self.calls.print {
            output.response(self.id, result);
        }
        self.calls.stall
    }

    /// Records the end of the call with this status code.
    pub fn end(self, code: i32) {
        let Call { record, calls, .. } = self;
        let now = Instant::now();
        calls.over(|state| state.tally.add(record, status::name(code), now));
    }

    /// Keeps the call open without reading from `stream`.
    pub fn hold(self, stream: impl Send + 'static) {
        let Call { record, calls, .. } = self;
        calls.over(|state| state.held.push((record, Box::new(stream))));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn args(flags: &[&str]) -> LoadArgs {
        LoadArgs::parse_from([&["load", "--addr", "127.0.0.1:1"], flags].concat())
    }

    fn measured(flags: &[&str]) -> Arc<Calls> {
        Arc::new(Calls::measured(&args(flags), None))
    }

    #[test]
    fn calls_take_turns_on_the_connections() {
        let calls = measured(&["--calls=5", "--connections=2", "--id=-1"]);
        let turns: Vec<_> = std::iter::from_fn(|| calls.next()).collect();
        let what: Vec<_> = turns
            .iter()
            .map(|turn| (turn.id(), turn.connection()))
            .collect();
        assert_eq!(what, [(-1, 0), (0, 1), (1, 0), (2, 1), (3, 0)]);
    }

    #[test]
    fn a_ramp_spreads_the_starts() {
        let calls = measured(&["--calls=4", "--ramp=1h"]);
        let turns: Vec<_> = std::iter::from_fn(|| calls.next()).collect();
        let minutes: Vec<_> = turns
            .iter()
            .map(|turn| turn.early().as_secs_f64() / 60.0)
            .collect();
        for (minutes, expected) in minutes.into_iter().zip([0.0, 15.0, 30.0, 45.0]) {
            assert!((expected - 1.0..=expected).contains(&minutes), "{minutes}");
        }
        let turn = measured(&["--calls=4"]).next().unwrap();
        assert_eq!(turn.early(), Duration::ZERO);
    }

    #[test]
    fn warm_up_is_one_call_for_each_connection() {
        let of = |flags: &[&str]| {
            let calls = Calls::warm_up(&args(flags));
            (calls.count, calls.in_flight())
        };
        assert_eq!(of(&["--connections=3"]), (3, 3));
        assert_eq!(of(&["--connections=3", "--warm-up=9"]), (9, 3));
        assert_eq!(of(&["--in-flight=8", "--warm-up=9"]), (9, 8));
        assert_eq!(of(&["--warm-up=0"]), (0, 0));
        assert_eq!(of(&["--connections=3", "--stall"]), (0, 0));
    }

    #[test]
    fn they_are_over_when_each_has_ended_or_is_held() {
        let calls = measured(&["--calls=2", "--stall"]);
        assert_eq!(calls.in_flight(), 2);
        let mut held = calls.next().unwrap().start();
        assert!(held.response("text"));
        let stream = Arc::new(());
        held.hold(stream.clone());
        calls.next().unwrap().start().end(14);
        calls.wait();
        assert_eq!(Arc::strong_count(&stream), 2);

        calls.release();
        assert_eq!(Arc::strong_count(&stream), 1);
        let summary = calls.summary();
        assert_eq!((summary.calls, summary.messages, summary.bytes), (2, 1, 4));
        let statuses: Vec<_> = summary.statuses.into_iter().collect();
        assert_eq!(statuses, [("CANCELLED", 1), ("UNAVAILABLE", 1)]);
    }
}
