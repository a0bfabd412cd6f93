//! The poll thread's side of a receiving call: a future that forwards arriving messages into a bounded
//! channel. It must not know who reads the channel.

use std::future::Future;
use std::pin::{pin, Pin};
use std::sync::{Arc, OnceLock};
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;
use grpcio::{Client, ClientSStreamReceiver, Metadata, RpcStatus};

use super::call_status::CallStatus;
use super::channel::{bounded, Capacity, Receiver, Sender};
use super::panic::run_caught;
use super::payload::Payload;

/// The time for the last messages of a call after its failure is known. Usually they are already in
/// the C-core. But the C-core can lose the read of a call that fails while it connects, and the
/// caller would wait forever.
const LAST_MESSAGES_TIMEOUT: Duration = Duration::from_secs(1);

/// How a call goes, for its caller.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) headers: OnceLock<Metadata>,
    /// The status, or how the call broke. Set before the channel is closed. The last messages may
    /// still arrive after it.
    pub(super) end: OnceLock<Result<CallStatus, grpcio::Error>>,
}

/// Starts the forwarding of what `stream` receives into a channel.
pub(super) fn forward<T: Payload>(
    client: &Client,
    stream: ClientSStreamReceiver<T>,
    capacity: Capacity,
) -> (Receiver<T>, Arc<Outcome>) {
    let (sender, messages) = bounded(capacity, T::encoded_len, None);
    let outcome = Arc::new(Outcome::default());
    client.spawn(Forward {
        stream,
        sender,
        has_status: false,
        outcome: outcome.clone(),
        listening: false,
    });
    (messages, outcome)
}

/// The future on the poll thread. Never blocks.
struct Forward<T> {
    stream: ClientSStreamReceiver<T>,
    sender: Sender<T>,
    /// The status is known, and the outcome is set. Messages before it are still read.
    has_status: bool,
    outcome: Arc<Outcome>,
    listening: bool,
}

impl<T> Forward<T> {
    /// Forwards messages; ready when the call is over.
    fn poll_messages(&mut self, cx: &mut Context<'_>) -> Poll<Result<CallStatus, grpcio::Error>> {
        loop {
            if !self.sender.has_free_slot_or_wake(cx.waker()) {
                return Poll::Pending;
            }
            let next = Pin::new(&mut self.stream).poll_next(cx);
            if next.is_pending() && self.has_status {
                self.sender
                    .set_receive_deadline(Instant::now() + LAST_MESSAGES_TIMEOUT);
            }
            match ready!(next) {
                Some(Ok(message)) => {
                    self.keep_headers(cx);
                    if self.sender.send_ignoring_capacity(message).is_err() {
                        return Poll::Ready(self.give_up());
                    }
                }
                // The status can arrive before the last messages are read: read on.
                Some(Err(grpcio::Error::RpcFailure(status))) if !self.has_status => {
                    self.has_status = true;
                    let status = CallStatus::from(status);
                    if !status.headers().is_empty() {
                        let _ = self.outcome.headers.set(status.headers().clone());
                    }
                    let _ = self.outcome.end.set(Ok(status));
                }
                Some(Err(error)) => {
                    self.stream.cancel();
                    return Poll::Ready(Err(error));
                }
                None => {
                    self.keep_headers(cx);
                    return Poll::Ready(Ok(CallStatus::from(RpcStatus::ok())));
                }
            }
        }
    }

    fn give_up(&mut self) -> Result<CallStatus, grpcio::Error> {
        self.stream.cancel();
        Err(grpcio::Error::RemoteStopped)
    }

    /// Called after the first message or the end, when the headers have arrived.
    fn keep_headers(&mut self, cx: &mut Context<'_>) {
        if self.outcome.headers.get().is_none() {
            if let Poll::Ready(Ok(headers)) = pin!(self.stream.headers()).poll(cx) {
                let _ = self.outcome.headers.set(headers.clone());
            }
        }
    }
}

// Nothing in it is pinned: messages are moved, and the stream is `Unpin`.
impl<T> Unpin for Forward<T> {}

impl<T> Future for Forward<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let forward = &mut *self;
        if !forward.listening {
            forward.sender.wake_on_close(cx.waker());
            forward.listening = true;
        }
        let end = if forward.sender.is_closed() {
            forward.give_up()
        } else {
            // A marshaller is user code: a panic must not end the poll thread.
            match run_caught("decoding a response", || forward.poll_messages(cx)) {
                Some(end) => ready!(end),
                None => {
                    forward.stream.cancel();
                    Err(decoding_panicked())
                }
            }
        };
        // Set before the drop of the sender, which wakes the caller. If the status is known, this
        // has no effect.
        let _ = forward.outcome.end.set(end);
        Poll::Ready(())
    }
}

pub(super) fn decoding_panicked() -> grpcio::Error {
    grpcio::Error::Codec("decoding a response panicked".into())
}
