//! One turn of a worker in a call: a step of its feed, a slice of a job, or both.
//!
//! User code runs here, outside the call's lock, and its panics end here.

use std::sync::{Arc, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use grpcio::RpcStatus;

use super::super::panic::{drop_caught, run_caught};
use super::super::workers::Task;
use super::feed::Feed;
use super::job::{Body, Producer};
use super::state::{Place, Started, State, Work};
use super::{internal, Call};

/// Messages after which a producer lets other calls run, if any wait.
const SLICE_MESSAGES: u32 = 64;

/// Time after which it does so even with fewer messages.
const SLICE_TIME: Duration = Duration::from_millis(1);

/// What a turn leaves of the job that it ran.
enum Left<T> {
    Nothing,
    /// It has used its slice.
    Ready(Started<T>),
    /// It found the channel full.
    Full(Started<T>),
}

/// How a slice of a producer ended.
enum Slice {
    /// It has had its share.
    Used,
    /// The channel is full.
    Full,
    /// It has no more messages, or none are wanted.
    Ended,
    Failed(RpcStatus),
}

impl<T: Send + 'static> Task for Call<T> {
    fn run(self: Arc<Self>) {
        let started = match self.take_work() {
            // The job that starts runs in the same turn: most calls have one job, due now.
            Some(Work::Feed(feed)) => self.advance(feed),
            Some(Work::Started(started)) => Some(started),
            Some(Work::Discard(discarded)) => {
                discarded.discard();
                None
            }
            None => return,
        };
        let left = match started {
            Some(started) => self.run_started(started),
            None => Left::Nothing,
        };
        self.leave(left);
    }
}

/// Runs code of the user that may fail; a panic in it is a failure too.
pub(super) fn run_user_code<R>(
    name: &str,
    run: impl FnOnce() -> Result<R, RpcStatus>,
) -> Result<R, RpcStatus> {
    run_caught(name, run).unwrap_or_else(|| Err(panicked()))
}

/// The message of a panic is in the server's log, by the panic hook; clients do not get it.
fn panicked() -> RpcStatus {
    internal("the producer panicked")
}

impl<T: Send + 'static> Call<T> {
    fn take_work(self: &Arc<Self>) -> Option<Work<T>> {
        let mut state = self.lock();
        state.place = Place::Nowhere;
        let work = match self.is_finished() {
            true => state.take_code().map(Work::Discard),
            false => state.take_work(),
        };
        state.active += u32::from(work.is_some());
        // Another worker may do the rest at the same time.
        self.settle(&mut state);
        if work.is_some() {
            return work;
        }
        let permit = self.take_permit(&mut state);
        drop(state);
        drop(permit);
        None
    }

    /// Takes one step of the feed; returns the job that is to run now.
    fn advance(self: &Arc<Self>, mut feed: Feed<T>) -> Option<Started<T>> {
        let step = run_user_code("a feed", || feed.step(&self.context, self.arrived));
        let started = match step {
            Ok(started) => started,
            Err(status) => {
                self.fail(status);
                drop_caught(std::mem::replace(&mut feed, Feed::Exhausted));
                None
            }
        };
        let mut state = self.lock();
        if self.is_finished() {
            drop(state);
            drop_caught(feed);
            drop_caught(started);
            return None;
        }
        state.feed = feed;
        if started.is_some() {
            self.settle(&mut state);
        }
        started
    }

    fn run_started(self: &Arc<Self>, started: Started<T>) -> Left<T> {
        let slice = match started {
            Body::Pull(mut producer) => {
                let slice = run_user_code("a producer", || Ok(self.produce(&mut *producer)));
                match slice.unwrap_or_else(Slice::Failed) {
                    Slice::Used => return Left::Ready(Body::Pull(producer)),
                    Slice::Full => return Left::Full(Body::Pull(producer)),
                    slice => {
                        drop_caught(producer);
                        slice
                    }
                }
            }
            Body::Push(push) if !self.sender.has_room() => return Left::Full(Body::Push(push)),
            Body::Push(push) if self.sender.is_closed() => {
                drop_caught(push);
                Slice::Ended
            }
            Body::Push(push) => self
                .push(push)
                .map_or_else(Slice::Failed, |()| Slice::Ended),
        };
        if let Slice::Failed(status) = slice {
            self.fail(status);
        }
        Left::Nothing
    }

    fn produce(&self, producer: &mut dyn Producer<T>) -> Slice {
        let began = Instant::now();
        let mut sent = 0;
        loop {
            if self.sender.is_closed() {
                return Slice::Ended;
            }
            if !self.sender.has_room() {
                return Slice::Full;
            }
            let message = match producer.next() {
                Some(Ok(message)) => message,
                Some(Err(status)) => return Slice::Failed(status),
                None => return Slice::Ended,
            };
            if self.sender.send_made(message).is_err() {
                return Slice::Ended;
            }
            sent += 1;
            // Checked only while a task waits: reading the clock costs more than a message.
            if self.workers.is_contended()
                && (sent >= SLICE_MESSAGES || began.elapsed() >= SLICE_TIME)
            {
                return Slice::Used;
            }
        }
    }

    /// The worker leaves the user code of the call.
    fn leave(self: &Arc<Self>, left: Left<T>) {
        let waker = match left {
            Left::Full(_) => Some(Waker::from(self.clone())),
            _ => None,
        };
        let mut state = self.lock();
        state.active -= 1;
        match (left, waker) {
            // Registered under the lock, so that the wake-up cannot come before the producer is in
            // its place.
            (Left::Full(started), Some(waker)) if !self.sender.has_room_or_wake(&waker) => {
                state.parked.push(started);
                self.counters.stalled(state.parked.len());
            }
            (Left::Full(started) | Left::Ready(started), _) => state.ready.push_back(started),
            (Left::Nothing, _) => {}
        }
        self.conclude(state);
    }

    /// Closes the channel if all jobs have ended, puts the call where it belongs, and gives back its permit if nobody
    /// works for it any more. Runs no user code and never blocks.
    pub(super) fn conclude(self: &Arc<Self>, mut state: MutexGuard<'_, State<T>>) {
        let is_complete = matches!(state.feed, Feed::Exhausted) && state.started() == 0;
        let closes = is_complete && self.sender.mark_closed();
        self.settle(&mut state);
        let permit = self.take_permit(&mut state);
        drop(state);
        if closes {
            self.sender.wake_both();
        }
        drop(permit);
    }
}
