//! A strand: a job that has started and not ended. It runs user code, outside any lock, and catches
//! its panics. It knows the [`Port`] of its call, and not the call.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::super::channel::{SendError, Sender};
use super::super::panic::{drop_caught, run_caught};
use super::super::workers::{Hold, Workers};
use super::body::{Body, Producer};
use super::context::CallContext;
use super::polled::{self, Next, Polled};
use super::stream_sender::StreamSender;
use crate::Status;

/// Messages of one slice, after which a producer lets waiting calls run.
const SLICE_MESSAGES: u32 = 128;

/// Time of one slice, for slower producers.
const SLICE_TIME: Duration = Duration::from_millis(1);

/// The first messages of a slice wake a sleeping response writer each, so that short calls and slow
/// ones are not delayed. Later ones wake it at the end of the slice. Without the first, a call of
/// five costs 1.25 times as much.
const LOUD_MESSAGES: u32 = 16;

/// The name of a producer in the log.
const PRODUCER: &str = "a producer";

/// What a strand may use of its call.
pub(super) struct Port<T> {
    pub(super) workers: Workers,
    pub(super) context: CallContext,
    pub(super) arrived: Instant,
    pub(super) sender: Sender<T>,
}

/// A job that has started and not ended.
pub(super) struct Strand<T> {
    pub(super) body: Body<T>,
    /// `Some` in an ordered call.
    pub(super) place: Option<Box<Place<T>>>,
}

/// The place of a strand in an ordered call.
pub(super) struct Place<T> {
    pub(super) number: u64,
    /// The message that it made before its turn.
    pub(super) held: Option<T>,
}

/// A strand with a polled producer that has no message yet.
pub(super) struct Waiting<T> {
    pub(super) strand: Strand<T>,
    /// When to ask again. Without a time, its waker will be called.
    pub(super) until: Option<Instant>,
    /// The server drained when the producer was asked last.
    pub(super) knows_drain: bool,
}

/// Why a strand has left its worker.
pub(super) enum Pause<T> {
    /// It has used its slice.
    Ready(Strand<T>),
    /// It waits for a free slot.
    Slot(Strand<T>),
    /// It waits for its turn in an ordered call.
    Turn(Strand<T>),
    /// Its producer is polled and has no message yet.
    Waits(Waiting<T>),
    /// The function of a push job has returned. The job ends with its last sender.
    Senders,
    /// It has ended; with its number in an ordered call.
    Ended(Option<u64>, Result<(), Status>),
}

/// Why a slice has ended.
enum Stop {
    /// It is used, or the producer lets other calls run first.
    Used,
    /// The channel is full.
    Full,
    /// The producer has no message until then; without a time, until it is woken.
    Waits(Option<Instant>),
    /// The producer has no more messages or has failed, or the channel is closed.
    Ended(Result<(), Status>),
}

impl Stop {
    fn panicked() -> Stop {
        Stop::Ended(Err(panicked()))
    }
}

impl<T> Strand<T> {
    pub(super) fn number(&self) -> Option<u64> {
        self.place.as_ref().map(|place| place.number)
    }

    pub(super) fn is_push(&self) -> bool {
        matches!(self.body, Body::Push(_))
    }

    /// Whether its polled producer was woken since it was asked last.
    pub(super) fn is_woken(&self) -> bool {
        matches!(&self.body, Body::Poll(polled) if polled.is_woken())
    }

    /// Drops the parts one by one: two panics in one drop would abort the process.
    pub(super) fn discard(self) {
        drop_caught(self.place);
        drop_caught(self.body);
    }
}

impl<T: Send + 'static> Strand<T> {
    /// Runs one slice, or calls the function of a push job, whose sender `senders` makes. A strand
    /// that may not send yet makes one message ahead. May block.
    pub(super) fn run(
        mut self,
        port: &Port<T>,
        may_send: bool,
        senders: impl FnOnce(Option<u64>) -> StreamSender<T>,
    ) -> Pause<T> {
        if port.sender.is_closed() {
            return self.pause(Stop::Ended(Ok(())), false);
        }
        let knows_drain = port.context.is_draining();
        if !may_send {
            return self.run_ahead(knows_drain);
        }
        if !port.sender.has_free_slot() {
            return Pause::Slot(self);
        }
        if let Some(held) = self.place.as_mut().and_then(|place| place.held.take()) {
            if let Err(SendError(held)) = port.sender.send_ignoring_capacity(held) {
                drop_caught(held);
            }
        }
        let stop = match self.body {
            Body::Pull(ref mut producer) => {
                run_caught(PRODUCER, || produce(port, || next_of(&mut **producer)))
            }
            Body::Poll(ref mut polled) => {
                let waker = polled.waker();
                run_caught(PRODUCER, || produce(port, || ask(polled, &waker)))
            }
            Body::Push(push) => {
                let sender = senders(self.place.as_ref().map(|place| place.number));
                // The clone keeps the job from ending before its function.
                let pushed = run_user_code("a push job", || push(sender.clone()));
                if let Err(status) = pushed {
                    // Before the sender is dropped: its drop lets the jobs behind this one send.
                    sender.fail(status);
                }
                return Pause::Senders;
            }
        };
        self.pause(stop.unwrap_or_else(Stop::panicked), knows_drain)
    }

    /// Makes one message before the strand's turn. A push job waits: it would block its worker.
    fn run_ahead(mut self, knows_drain: bool) -> Pause<T> {
        let made = match &mut self.body {
            Body::Pull(producer) => run_caught(PRODUCER, || next_of(&mut **producer)),
            Body::Poll(polled) => {
                let waker = polled.waker();
                run_caught(PRODUCER, || ask(polled, &waker))
            }
            Body::Push(_) => return Pause::Turn(self),
        };
        match made.unwrap_or_else(|| Err(Stop::panicked())) {
            Ok(message) => {
                if let Some(place) = &mut self.place {
                    place.held = Some(message);
                }
                Pause::Turn(self)
            }
            Err(stop) => self.pause(stop, knows_drain),
        }
    }

    /// Leaves the worker after a slice.
    fn pause(self, stop: Stop, knows_drain: bool) -> Pause<T> {
        match stop {
            Stop::Used => Pause::Ready(self),
            Stop::Full => Pause::Slot(self),
            Stop::Waits(until) => Pause::Waits(Waiting {
                strand: self,
                until,
                knows_drain,
            }),
            Stop::Ended(end) => {
                let number = self.number();
                self.discard();
                Pause::Ended(number, end)
            }
        }
    }
}

/// The next message of an iterator.
fn next_of<T>(producer: &mut dyn Producer<T>) -> Result<T, Stop> {
    match producer.next() {
        Some(Ok(message)) => Ok(message),
        Some(Err(status)) => Err(Stop::Ended(Err(status))),
        None => Err(Stop::Ended(Ok(()))),
    }
}

/// The next message of a polled producer.
fn ask<T>(producer: &mut Polled<T>, waker: &Waker) -> Result<T, Stop> {
    let until = match producer.ask(waker) {
        Ok(Next::Message(message)) => return Ok(message),
        Ok(Next::End) => return Err(Stop::Ended(Ok(()))),
        Err(status) => return Err(Stop::Ended(Err(status))),
        Ok(Next::WhenWoken) => None,
        Ok(Next::At(time)) => Some(time),
        Ok(Next::Later(delay)) => Some(polled::after(delay)),
    };
    let is_due = until.is_some_and(|until| until <= Instant::now());
    Err(match is_due {
        true => Stop::Used,
        false => Stop::Waits(until),
    })
}

/// Sends messages until the slice ends.
fn produce<T: Send + 'static>(port: &Port<T>, mut next: impl FnMut() -> Result<T, Stop>) -> Stop {
    let Port {
        workers, sender, ..
    } = port;
    let began = Instant::now();
    let mut sent = 0;
    let mut hold: Option<Hold> = None;
    loop {
        if sender.is_closed() {
            return Stop::Ended(Ok(()));
        }
        if !sender.has_free_slot() {
            return Stop::Full;
        }
        let message = match next() {
            Ok(message) => message,
            Err(stop) => return stop,
        };
        let accepted = match hold {
            Some(_) => sender.send_quietly(message),
            None => sender.send_ignoring_capacity(message),
        };
        if accepted.is_err() {
            return Stop::Ended(Ok(()));
        }
        if hold.as_ref().is_some_and(Hold::is_caught) {
            hold = None;
            sender.wake_receiver();
        }
        sent += 1;
        if sent == LOUD_MESSAGES && sender.joins() && began.elapsed() < SLICE_TIME {
            hold = workers.hold_wakes(sender.receiver_waker());
        }
        // Only while a task waits, and seldom for a producer that was fast: reading the clock costs
        // more than a message.
        let is_time = || (hold.is_none() || sent % 16 == 0) && began.elapsed() >= SLICE_TIME;
        if workers.is_contended() && (sent >= SLICE_MESSAGES || is_time()) {
            return Stop::Used;
        }
    }
}

/// Runs user code that may fail. A panic becomes a failure: the panic hook logs its message, and
/// clients do not get it.
pub(super) fn run_user_code<R>(
    name: &str,
    run: impl FnOnce() -> Result<R, Status>,
) -> Result<R, Status> {
    run_caught(name, run).unwrap_or_else(|| Err(panicked()))
}

fn panicked() -> Status {
    internal("the producer panicked")
}

pub(super) fn internal(message: &str) -> Status {
    Status::internal(message)
}
