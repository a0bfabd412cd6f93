//! From a call's channel into its sink: a future on the call's poll thread.
//!
//! It alone touches the sink, never blocks, and ends every call with exactly one status: the sink
//! is closed, failed, or its call is already over. Every message that another one follows at once
//! goes with the buffer hint, so that the C-core writes them together; the last one goes without,
//! so that it leaves now. When many streams of the thread have a backlog they take [turns]. It must
//! not know what is in the messages.
//!
//! [turns]: super::turns

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{ready, Context, Poll};

use futures::Sink;
use grpcio::{
    Deadline, RpcStatusCode, ServerStreamingSink, ServerStreamingSinkFailure, WriteFlags,
};

use super::call::Call;
use super::channel::{Receiver, TryRecvError};
use super::linger::linger;
use super::meter::MethodMeter;
use super::turns::{Turn, SMALL};

/// Drains the channel of one call. Whatever ends it, dropping it ends the call.
pub(super) struct Drain<T: Send + 'static, P> {
    call: Arc<Call<T>>,
    messages: Receiver<T>,
    phase: Phase<T>,
    /// The waker that was last left with the call, for an abort.
    registered: Option<std::task::Waker>,
    /// Left when nothing more is sent, before the status waits for its reader.
    turn: Turn,
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
    /// All was sent; the status OK is on its way.
    Closing(ServerStreamingSink<T>),
    /// Another status is on its way.
    Failing(ServerStreamingSinkFailure),
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
            _permit: permit,
            deadline,
            first: Some(meter),
        }
    }

    /// Sends what is there; ready when nothing more is to come, with the sink.
    fn poll_sending(&mut self, cx: &mut Context<'_>) -> Poll<Phase<T>> {
        let Phase::Sending { sink, held } = &mut self.phase else {
            return Poll::Ready(Phase::Over);
        };
        loop {
            // Also hears of a cancel or a deadline, while there is nothing to send.
            if ready!(Pin::new(&mut *sink).poll_ready(cx)).is_err() {
                self.call.set_code(lost(self.deadline));
                return Poll::Ready(Phase::Over);
            }
            if self.call.is_aborted() {
                break;
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
            *held = next.ok();
        }
        Poll::Ready(self.end_phase())
    }

    /// From sending to the status that the call has earned.
    fn end_phase(&mut self) -> Phase<T> {
        self.turn.leave();
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        match (phase, self.call.failure()) {
            (Phase::Sending { sink, .. }, None) => Phase::Closing(sink),
            (Phase::Sending { sink, .. }, Some(status)) => {
                self.call.set_code(status.code());
                Phase::Failing(sink.fail(status.clone()))
            }
            (other, _) => other,
        }
    }

    fn listen_for_abort(&mut self, cx: &Context<'_>) {
        let known = self.registered.as_ref();
        if !known.is_some_and(|known| known.will_wake(cx.waker())) {
            self.call.drain_waker().register(cx.waker());
            self.registered = Some(cx.waker().clone());
        }
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
        drain.listen_for_abort(cx);
        loop {
            match &mut drain.phase {
                Phase::Sending { .. } => {
                    // A reader that does not read keeps the sink from being ready: an abort
                    // must not wait for it.
                    drain.phase = match drain.poll_sending(cx) {
                        Poll::Ready(next) => next,
                        Poll::Pending if drain.call.is_aborted() => drain.end_phase(),
                        Poll::Pending => return Poll::Pending,
                    };
                    if !matches!(drain.phase, Phase::Sending { .. }) {
                        drain.call.end();
                    }
                }
                // An error from here on means that the client is gone and no status can reach it.
                Phase::Closing(sink) => {
                    let closed = ready!(Pin::new(sink).poll_close(cx));
                    drain.call.set_code(match closed {
                        Ok(()) => RpcStatusCode::OK,
                        Err(_) => lost(drain.deadline),
                    });
                    drain.phase = Phase::Over;
                }
                Phase::Failing(failure) => {
                    let _ = ready!(Pin::new(failure).poll(cx));
                    drain.phase = Phase::Over;
                }
                Phase::Over => return Poll::Ready(()),
            }
        }
    }
}
