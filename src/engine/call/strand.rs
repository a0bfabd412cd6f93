//! A strand: a job that has started and not ended. It runs user code, outside any lock, and catches
//! its panics. It knows the [`Port`] of its call, and not the call.

use std::time::{Duration, Instant};

use super::super::channel::{SendError, Sender};
use super::super::panic::{drop_caught, run_caught};
use super::super::workers::{Hold, Workers};
use super::body::{Body, Producer};
use super::context::CallContext;
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

/// Why a strand has left its worker.
pub(super) enum Pause<T> {
    /// It has used its slice.
    Ready(Strand<T>),
    /// It waits for a free slot.
    Slot(Strand<T>),
    /// It waits for its turn in an ordered call.
    Turn(Strand<T>),
    /// The function of a push job has returned. The job ends with its last sender.
    Senders,
    /// It has ended; with its number in an ordered call.
    Ended(Option<u64>, Result<(), Status>),
}

/// How a slice ended that no failure ended.
enum Stop {
    /// It is used.
    Used,
    /// The channel is full.
    Full,
    /// The producer has no more messages, or the channel is closed.
    Ended,
}

impl<T> Strand<T> {
    pub(super) fn number(&self) -> Option<u64> {
        self.place.as_ref().map(|place| place.number)
    }

    pub(super) fn is_push(&self) -> bool {
        matches!(self.body, Body::Push(_))
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
        let number = self.number();
        if port.sender.is_closed() {
            self.discard();
            return Pause::Ended(number, Ok(()));
        }
        if !may_send {
            return self.run_ahead();
        }
        if !port.sender.has_free_slot() {
            return Pause::Slot(self);
        }
        if let Some(held) = self.place.as_mut().and_then(|place| place.held.take()) {
            if let Err(SendError(held)) = port.sender.send_ignoring_capacity(held) {
                drop_caught(held);
            }
        }
        let mut producer = match self.body {
            Body::Pull(producer) => producer,
            Body::Push(push) => {
                let sender = senders(number);
                // The clone keeps the job from ending before its function.
                let pushed = run_user_code("a push job", || push(sender.clone()));
                if let Err(status) = pushed {
                    // Before the sender is dropped: its drop lets the jobs behind this one send.
                    sender.fail(status);
                }
                return Pause::Senders;
            }
        };
        let stop = run_user_code("a producer", || produce(port, &mut *producer));
        self.body = Body::Pull(producer);
        let end = match stop {
            Ok(Stop::Used) => return Pause::Ready(self),
            Ok(Stop::Full) => return Pause::Slot(self),
            Ok(Stop::Ended) => Ok(()),
            Err(status) => Err(status),
        };
        self.discard();
        Pause::Ended(number, end)
    }

    /// Makes one message before the strand's turn. A push job waits: it would block its worker.
    fn run_ahead(mut self) -> Pause<T> {
        let (Body::Pull(producer), Some(place)) = (&mut self.body, &mut self.place) else {
            return Pause::Turn(self);
        };
        let end = match run_user_code("a producer", || producer.next().transpose()) {
            Ok(Some(message)) => {
                place.held = Some(message);
                return Pause::Turn(self);
            }
            Ok(None) => Ok(()),
            Err(status) => Err(status),
        };
        let number = self.number();
        self.discard();
        Pause::Ended(number, end)
    }
}

fn produce<T: Send + 'static>(
    port: &Port<T>,
    producer: &mut dyn Producer<T>,
) -> Result<Stop, Status> {
    let Port {
        workers, sender, ..
    } = port;
    let began = Instant::now();
    let mut sent = 0;
    let mut hold: Option<Hold> = None;
    loop {
        if sender.is_closed() {
            return Ok(Stop::Ended);
        }
        if !sender.has_free_slot() {
            return Ok(Stop::Full);
        }
        let Some(message) = producer.next().transpose()? else {
            return Ok(Stop::Ended);
        };
        let accepted = match hold {
            Some(_) => sender.send_quietly(message),
            None => sender.send_ignoring_capacity(message),
        };
        if accepted.is_err() {
            return Ok(Stop::Ended);
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
            return Ok(Stop::Used);
        }
    }
}

/// Runs user code that may fail. A panic becomes a failure: the panic hook logs its message, and
/// clients do not get it.
pub(super) fn run_user_code<R>(
    name: &str,
    run: impl FnOnce() -> Result<R, Status>,
) -> Result<R, Status> {
    run_caught(name, run).unwrap_or_else(|| Err(internal("the producer panicked")))
}

pub(super) fn internal(message: &str) -> Status {
    Status::internal(message)
}
