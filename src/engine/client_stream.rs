//! The client's side of a stream: from a call to a blocking iterator.
//!
//! A future on the call's poll thread forwards arriving messages into a bounded channel, which the
//! caller iterates. So messages that arrive together wake the caller once, and a caller that does
//! not read holds one channel and no thread. It knows nothing of any service.

use std::fmt;
use std::future::Future;
use std::pin::{pin, Pin};
use std::sync::{Arc, OnceLock};
use std::task::{ready, Context, Poll};
use std::time::{Duration, Instant};

use futures::Stream;
use grpcio::{Client, ClientSStreamReceiver, MessageReader, Metadata, RpcStatus, RpcStatusCode};

use super::call_status::CallStatus;
use super::channel::{bounded_by_size, Capacity, Receiver, RecvTimeoutError, Sender, TrySendError};
use super::frames::Frames;
use super::grpcio_error::copy;
use super::panic::run_caught;
use super::payload::Payload;
use super::receive_error::{ReceiveError, ReceiveTimeouts};

/// The time for the last messages of a call after its failure is known. Usually they are already in
/// the C-core. But the C-core can lose the read of a call that fails while it connects, and the
/// caller would wait forever.
const LAST_MESSAGES_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Outcome {
    headers: OnceLock<Metadata>,
    /// The status, or how the call broke. Set before the channel is closed. The last messages may
    /// still arrive after it.
    end: OnceLock<Result<CallStatus, grpcio::Error>>,
}

/// The responses of one call, as a blocking iterator.
///
/// After an error it yields that error once, then `None`. Dropping it cancels the call.
pub struct Responses<T> {
    incoming: Option<Incoming<T>>,
    outcome: Arc<Outcome>,
    timeouts: ReceiveTimeouts,
    started: bool,
}

/// Receives the responses of `stream`, a call made with `client`, through a channel of `capacity`.
///
/// Returns at once. `stream` comes from a generated client, or from [`Client::server_streaming`].
pub fn receive<T: Payload>(
    client: &Client,
    stream: ClientSStreamReceiver<T>,
    capacity: Capacity,
    timeouts: ReceiveTimeouts,
) -> Responses<T> {
    let (messages, outcome) = forward(client, stream, capacity);
    Responses::new(Incoming::Messages(messages), outcome, timeouts)
}

/// As [`receive`], for a call that receives [frames](super::frames). The caller's thread decodes
/// the messages.
pub(crate) fn receive_frames<T>(
    client: &Client,
    stream: ClientSStreamReceiver<Frames>,
    decode: Decode<T>,
    capacity: Capacity,
    timeouts: ReceiveTimeouts,
) -> Responses<T> {
    let (frames, outcome) = forward(client, stream, capacity);
    let incoming = Incoming::Frames {
        frames,
        current: Frames::none(),
        decode,
    };
    Responses::new(incoming, outcome, timeouts)
}

/// Starts the forwarding of what `stream` receives into a channel.
fn forward<T: Payload>(
    client: &Client,
    stream: ClientSStreamReceiver<T>,
    capacity: Capacity,
) -> (Receiver<T>, Arc<Outcome>) {
    let (sender, messages) = bounded_by_size(capacity, T::encoded_len);
    let outcome = Arc::new(Outcome::default());
    client.spawn(Forward {
        stream,
        sender,
        held: None,
        has_status: false,
        outcome: outcome.clone(),
        listening: false,
    });
    (messages, outcome)
}

type Decode<T> = fn(MessageReader) -> grpcio::Result<T>;

/// The caller's end of the channel.
enum Incoming<T> {
    Messages(Receiver<T>),
    Frames {
        frames: Receiver<Frames>,
        current: Frames,
        decode: Decode<T>,
    },
}

impl<T> Incoming<T> {
    /// The next message, decoded. Blocks while there is none, at most for `timeout`.
    fn recv(&mut self, timeout: Option<Duration>) -> Result<grpcio::Result<T>, RecvTimeoutError> {
        match self {
            Incoming::Messages(messages) => recv_within(messages, timeout).map(Ok),
            Incoming::Frames {
                frames,
                current,
                decode,
            } => loop {
                // A marshaller is user code: a panic ends its call as an error does.
                match run_caught("decoding a response", || current.next(*decode)) {
                    Some(Some(message)) => return Ok(message),
                    Some(None) => *current = recv_within(frames, timeout)?,
                    None => return Ok(Err(decoding_panicked())),
                }
            },
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Incoming::Messages(messages) => messages.is_empty(),
            Incoming::Frames {
                frames, current, ..
            } => current.is_empty() && frames.is_empty(),
        }
    }
}

fn recv_within<T>(
    receiver: &Receiver<T>,
    timeout: Option<Duration>,
) -> Result<T, RecvTimeoutError> {
    match timeout {
        Some(timeout) => receiver.recv_timeout(timeout),
        None => receiver.recv().ok_or(RecvTimeoutError::Closed),
    }
}

fn decoding_panicked() -> grpcio::Error {
    grpcio::Error::Codec("decoding a response panicked".into())
}

impl<T> Responses<T> {
    fn new(
        incoming: Incoming<T>,
        outcome: Arc<Outcome>,
        timeouts: ReceiveTimeouts,
    ) -> Responses<T> {
        Responses {
            incoming: Some(incoming),
            outcome,
            timeouts,
            started: false,
        }
    }

    /// The final status of the call with its trailers; `None` while the call is open, and if this
    /// side cancelled it.
    pub fn status(&self) -> Option<&CallStatus> {
        self.outcome.end.get()?.as_ref().ok()
    }

    /// The server's headers (initial metadata); `Some` from the first response or the end on.
    pub fn headers(&self) -> Option<&Metadata> {
        self.outcome.headers.get()
    }

    /// Whether a response is queued, so that `next` will not block.
    pub fn is_ready(&self) -> bool {
        self.incoming.as_ref().is_some_and(|i| !i.is_empty())
    }

    /// Cancels the call; no further response follows.
    pub fn cancel(&mut self) {
        self.incoming = None;
    }

    /// The error to yield at the end of the channel; `None` after status OK.
    fn failure(&self) -> Option<ReceiveError> {
        match self.outcome.end.get() {
            Some(Ok(status)) if status.code() == RpcStatusCode::OK => None,
            Some(Ok(status)) => Some(ReceiveError::Status(status.clone())),
            Some(Err(error)) => Some(ReceiveError::Broken(copy(error))),
            // The poll thread ended before the call.
            None => Some(ReceiveError::Broken(grpcio::Error::QueueShutdown)),
        }
    }
}

impl<T> Iterator for Responses<T> {
    type Item = Result<T, ReceiveError>;

    /// Blocks until the next response, the end of the call or a timeout.
    fn next(&mut self) -> Option<Result<T, ReceiveError>> {
        let incoming = self.incoming.as_mut()?;
        let (timeouts, timeout): (_, fn(Duration) -> ReceiveError) = if self.started {
            (self.timeouts.idle, ReceiveError::IdleTimeout)
        } else {
            (self.timeouts.first, ReceiveError::FirstTimeout)
        };
        match (incoming.recv(timeouts), timeouts) {
            (Ok(Ok(message)), _) => {
                self.started = true;
                Some(Ok(message))
            }
            (Ok(Err(error)), _) => {
                self.cancel();
                Some(Err(ReceiveError::Broken(error)))
            }
            (Err(RecvTimeoutError::Timeout), Some(timeouts)) => {
                self.cancel();
                Some(Err(timeout(timeouts)))
            }
            (Err(_), _) => {
                self.incoming = None;
                self.failure().map(Err)
            }
        }
    }
}

impl<T> fmt::Debug for Responses<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responses")
            .field("is_ready", &self.is_ready())
            .field("end", &self.outcome.end)
            .finish_non_exhaustive()
    }
}

/// The future on the poll thread. Never blocks.
struct Forward<T> {
    stream: ClientSStreamReceiver<T>,
    sender: Sender<T>,
    /// A message that the full channel refused.
    held: Option<T>,
    /// The status is known, and the outcome is set. Messages before it are still read.
    has_status: bool,
    outcome: Arc<Outcome>,
    listening: bool,
}

impl<T> Forward<T> {
    /// Forwards messages; ready when the call is over.
    fn poll_messages(&mut self, cx: &mut Context<'_>) -> Poll<Result<CallStatus, grpcio::Error>> {
        loop {
            if let Some(message) = self.held.take() {
                match self.sender.send_or_wake(message, cx.waker()) {
                    Ok(()) => {}
                    Err(TrySendError::Full(message)) => {
                        self.held = Some(message);
                        return Poll::Pending;
                    }
                    Err(TrySendError::Closed(_)) => return Poll::Ready(self.give_up()),
                }
            }
            let next = Pin::new(&mut self.stream).poll_next(cx);
            if next.is_pending() && self.has_status {
                self.sender
                    .set_receive_deadline(Instant::now() + LAST_MESSAGES_TIMEOUT);
            }
            match ready!(next) {
                Some(Ok(message)) => {
                    self.keep_headers(cx);
                    self.held = Some(message);
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
