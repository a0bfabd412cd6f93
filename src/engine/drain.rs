//! From a call's channel into its sink: a future on the call's poll thread.
//!
//! It alone touches the sink, never blocks, and ends every call with exactly one status: the sink
//! is closed, with OK or another status, or its call is already over or cut. Every message that
//! another one follows at once goes with the buffer hint, so that the C-core writes them together;
//! the last one goes without, so that it leaves now. When many streams of the thread have a backlog
//! they take [turns]. It must not know what is in the messages.
//!
//! [turns]: super::turns

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{ready, Context, Poll, Waker};

use futures::Sink;
use grpcio::{Deadline, RpcStatusCode, ServerStreamingSink, WriteFlags};

use super::call::Call;
use super::channel::{Receiver, TryRecvError};
use super::ending::Urgency;
use super::linger::linger;
use super::meter::MethodMeter;
use super::turns::{Turn, SMALL};

/// Drains the channel of one call. Whatever ends it, dropping it ends the call.
pub(super) struct Drain<T: Send + 'static, P> {
    call: Arc<Call<T>>,
    messages: Receiver<T>,
    phase: Phase<T>,
    /// The waker that was last left with the call, for an ending from outside, and at what urgency.
    registered: Option<(Urgency, Waker)>,
    /// Left when nothing more is sent, before the status waits for its reader.
    turn: Turn,
    /// How often the sink has taken something: the reader's progress. Never 0.
    taken: u32,
    /// The call was told that the drain waits for the reader.
    waits_for_reader: bool,
    /// Held until the call is over: its place among the open streams.
    _permit: P,
    deadline: Deadline,
    /// Until the first message: to be told of it.
    first: Option<Arc<MethodMeter>>,
}

enum Phase<T> {
    /// Sending; `held` is the next message, already out of the channel.
    Sending {
        sink: ServerStreamingSink<T>,
        held: Option<T>,
    },
    /// All was sent that will be, and `taken`, or is still to be; then the status goes.
    Closing {
        sink: ServerStreamingSink<T>,
        taken: bool,
    },
    Over,
}

impl<T: Send + 'static, P> Drain<T, P> {
    pub(super) fn new(
        call: Arc<Call<T>>,
        messages: Receiver<T>,
        sink: ServerStreamingSink<T>,
        permit: P,
        deadline: Deadline,
        meter: Arc<MethodMeter>,
    ) -> Drain<T, P> {
        Drain {
            call,
            messages,
            phase: Phase::Sending { sink, held: None },
            registered: None,
            turn: Turn::new(),
            taken: 1,
            waits_for_reader: false,
            _permit: permit,
            deadline,
            first: Some(meter),
        }
    }

    /// Sends what is there; ready when nothing more is to come, with the next phase.
    fn poll_sending(&mut self, cx: &mut Context<'_>) -> Poll<Phase<T>> {
        let Phase::Sending { sink, held } = &mut self.phase else {
            return Poll::Ready(Phase::Over);
        };
        loop {
            // Also hears of a cancel or a deadline, while there is nothing to send.
            match Pin::new(&mut *sink).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.call.set_code(lost(self.deadline));
                    return Poll::Ready(Phase::Over);
                }
                Poll::Pending => {
                    self.call.ending().wait_for_reader(self.taken);
                    self.waits_for_reader = true;
                    return Poll::Pending;
                }
            }
            if self.waits_for_reader {
                self.waits_for_reader = false;
                self.call.ending().stop_waiting();
            }
            match self.call.ending().urgency() {
                Urgency::None => {}
                Urgency::Finish => finish(&self.call, &self.messages),
                Urgency::Abort | Urgency::Cut => break,
            }
            let message = match held.take() {
                Some(message) => message,
                None => match self.messages.poll_recv(cx) {
                    Poll::Ready(Some(message)) => message,
                    Poll::Ready(None) => break,
                    Poll::Pending => {
                        self.turn.rest();
                        return Poll::Pending;
                    }
                },
            };
            let size = self.messages.size(&message);
            if size > SMALL {
                self.turn.end();
            } else if !self.turn.take(cx.waker(), self.call.workers()) {
                *held = Some(message);
                return Poll::Pending;
            }
            let mut next = self.messages.try_recv();
            if matches!(next, Err(TryRecvError::Empty)) && linger() {
                next = self.messages.try_recv();
            }
            let turn_ends = self.turn.ends();
            // At the end the status follows, so the last message can wait for it.
            let more = !matches!(next, Err(TryRecvError::Empty)) && !turn_ends;
            let flags = WriteFlags::default().buffer_hint(more);
            if Pin::new(&mut *sink).start_send((message, flags)).is_err() {
                self.call.set_code(lost(self.deadline));
                return Poll::Ready(Phase::Over);
            }
            self.call.tally().sent(size);
            if let Some(meter) = self.first.take() {
                let after = self.call.arrived().elapsed();
                self.call.tally().first_after(after);
                meter.first_after(after);
            }
            if turn_ends {
                self.turn.end();
            }
            self.taken = self.taken.wrapping_add(1).max(1);
            *held = next.ok();
        }
        Poll::Ready(self.end_phase())
    }

    /// From sending to the status that the call has earned.
    fn end_phase(&mut self) -> Phase<T> {
        self.turn.leave();
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Sending { mut sink, .. } => {
                if let Some(status) = self.call.ending().failure() {
                    self.call.set_code(status.code());
                    sink.set_status(status.clone());
                }
                Phase::Closing { sink, taken: false }
            }
            other => other,
        }
    }

    /// Has the status sent behind what was. The sink stays as it is meanwhile: dropped before its
    /// time it cancels the call, which is how one is cut whose reader takes nothing.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Phase::Closing { sink, taken } = &mut self.phase else {
            return Poll::Ready(());
        };
        let mut sink = Pin::new(sink);
        // An error from here on means that the client is gone and no status can reach it.
        let closed = match taken {
            false => match sink.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    *taken = true;
                    self.taken = self.taken.wrapping_add(1).max(1);
                    sink.as_mut().poll_close(cx)
                }
                other => other,
            },
            true => sink.as_mut().poll_close(cx),
        };
        match closed {
            Poll::Pending => {
                self.call.ending().wait_for_reader(self.taken);
                return Poll::Pending;
            }
            // What was told, or would have been, counts as its end.
            Poll::Ready(_) if self.call.ending().failure().is_some() => {}
            Poll::Ready(Ok(())) => self.call.set_code(RpcStatusCode::OK),
            Poll::Ready(Err(_)) => self.call.set_code(lost(self.deadline)),
        }
        Poll::Ready(())
    }

    fn listen_for_urgency(&mut self, cx: &Context<'_>) {
        // Whoever wakes it takes the waker with it, so each urgency needs another one.
        let urgency = self.call.ending().urgency();
        let known = self.registered.as_ref();
        let known = known.is_some_and(|(at, waker)| *at == urgency && waker.will_wake(cx.waker()));
        if !known {
            self.call.ending().register(cx.waker());
            self.registered = Some((urgency, cx.waker().clone()));
        }
    }
}

/// No more messages from now on, and another end than OK, unless the end was there already.
fn finish<T: Send + 'static>(call: &Call<T>, messages: &Receiver<T>) {
    if !messages.is_closed() {
        call.ending().fail_as_noticed();
        messages.close();
    }
}

/// What a call ends with whose client, or connection, went.
fn lost(deadline: Deadline) -> RpcStatusCode {
    if deadline.exceeded() {
        RpcStatusCode::DEADLINE_EXCEEDED
    } else {
        RpcStatusCode::CANCELLED
    }
}

impl<T: Send + 'static, P> Drop for Drain<T, P> {
    fn drop(&mut self) {
        self.call.end();
    }
}

// Nothing in it is pinned: the futures it polls are `Unpin`, and messages are moved.
impl<T: Send + 'static, P> Unpin for Drain<T, P> {}

impl<T: Send + 'static, P> Future for Drain<T, P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let drain = &mut *self;
        drain.listen_for_urgency(cx);
        loop {
            // A reader that does not read keeps the sink from being ready: whoever wants the call
            // to end must not wait for it.
            let urgency = drain.call.ending().urgency();
            if urgency == Urgency::Cut {
                if let Some(status) = drain.call.ending().failure() {
                    drain.call.set_code(status.code());
                }
                drain.phase = Phase::Over;
            }
            match &mut drain.phase {
                Phase::Sending { .. } => {
                    if urgency == Urgency::Finish {
                        finish(&drain.call, &drain.messages);
                    }
                    drain.phase = match drain.poll_sending(cx) {
                        Poll::Ready(next) => next,
                        Poll::Pending if drain.call.ending().urgency() >= Urgency::Abort => {
                            drain.end_phase()
                        }
                        Poll::Pending => return Poll::Pending,
                    };
                    if !matches!(drain.phase, Phase::Sending { .. }) {
                        drain.call.end();
                    }
                }
                Phase::Closing { .. } => {
                    ready!(drain.poll_closing(cx));
                    drain.phase = Phase::Over;
                }
                Phase::Over => return Poll::Ready(()),
            }
        }
    }
}
