//! The client's side of a stream: from a call to a blocking iterator.
//!
//! A future on the call's poll thread forwards arriving messages into a bounded channel, which the
//! caller iterates. So messages that arrive together wake the caller once, and a caller that does
//! not read holds one channel and no thread. It knows nothing of any service.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use grpcio::{Client, ClientSStreamReceiver, MessageReader, Metadata, RpcStatusCode};

use super::call_status::CallStatus;
use super::canceller::Canceller;
use super::channel::{Capacity, Receiver, RecvError};
use super::forward::{decoding_panicked, forward, Outcome};
use super::frames::Frames;
use super::grpcio_error::copy;
use super::panic::run_caught;
use super::payload::Payload;
use super::receive_error::{Elapsed, ReceiveError, ReceiveTimeouts};

/// The responses of one call, as a blocking iterator.
///
/// After an error it yields that error once, then `None`. Dropping it cancels the call.
pub struct Responses<T> {
    incoming: Option<Incoming<T>>,
    outcome: Arc<Outcome>,
    timeouts: ReceiveTimeouts,
    started: bool,
    /// When the caller first asked for the next response, if it gave up waiting meanwhile.
    asked: Option<Instant>,
    /// Set once somebody wants to cancel from elsewhere.
    canceller: OnceLock<Canceller>,
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
    fn recv(&mut self, timeout: Option<Duration>) -> Result<grpcio::Result<T>, RecvError> {
        match self {
            Incoming::Messages(messages) => messages.recv(timeout).map(Ok),
            Incoming::Frames {
                frames,
                current,
                decode,
            } => loop {
                // A marshaller is user code: a panic ends its call as an error does.
                match run_caught("decoding a response", || current.next(*decode)) {
                    Some(Some(message)) => return Ok(message),
                    Some(None) => *current = frames.recv(timeout)?,
                    None => return Ok(Err(decoding_panicked())),
                }
            },
        }
    }

    /// A waker that ends it.
    fn closer(&self) -> Waker
    where
        T: Send + 'static,
    {
        match self {
            Incoming::Messages(messages) => messages.closer(),
            Incoming::Frames { frames, .. } => frames.closer(),
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
            asked: None,
            canceller: OnceLock::new(),
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
        let incoming = self.incoming.as_ref();
        incoming.is_some_and(|incoming| !incoming.is_empty()) && !self.is_cancelled()
    }

    /// As `next`, but blocks for at most `timeout`, which does not end the call.
    ///
    /// The time counts for the [timeouts](ReceiveTimeouts) of the call: they begin when the caller
    /// first asks for a response, however often it asks again.
    ///
    /// # Errors
    /// There is no response yet.
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Result<T, ReceiveError>>, Elapsed> {
        self.asked.get_or_insert_with(Instant::now);
        if self.is_cancelled() || self.time_left().is_some_and(|left| left <= timeout) {
            return Ok(self.next());
        }
        let Some(incoming) = &mut self.incoming else {
            return Ok(None);
        };
        match incoming.recv(Some(timeout)) {
            Err(RecvError::Empty) => Err(Elapsed),
            received => Ok(self.received(received)),
        }
    }

    /// Cancels the call; no further response follows.
    pub fn cancel(&mut self) {
        self.incoming = None;
    }

    fn is_cancelled(&self) -> bool {
        self.canceller.get().is_some_and(Canceller::is_cancelled)
    }

    /// The timeout of the next response.
    fn timeout(&self) -> Option<Duration> {
        match self.started {
            true => self.timeouts.idle,
            false => self.timeouts.first,
        }
    }

    /// The rest of it.
    fn time_left(&self) -> Option<Duration> {
        let timeout = self.timeout()?;
        let waited = self.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        Some(timeout.saturating_sub(waited))
    }

    /// What `next` yields.
    #[inline]
    fn received(
        &mut self,
        received: Result<grpcio::Result<T>, RecvError>,
    ) -> Option<Result<T, ReceiveError>> {
        match received {
            Ok(Ok(message)) => {
                self.started = true;
                self.asked = None;
                Some(Ok(message))
            }
            Ok(Err(error)) => {
                self.cancel();
                Some(Err(ReceiveError::Broken(error)))
            }
            Err(RecvError::Empty) => {
                self.cancel();
                let timeout = self.timeout().unwrap_or_default();
                Some(Err(match self.started {
                    true => ReceiveError::IdleTimeout(timeout),
                    false => ReceiveError::FirstTimeout(timeout),
                }))
            }
            Err(RecvError::Closed) => {
                self.incoming = None;
                match self.is_cancelled() {
                    true => None,
                    false => self.failure().map(Err),
                }
            }
        }
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

impl<T: Send + 'static> Responses<T> {
    /// A handle that cancels the call from any thread, also while `next` blocks: it then returns
    /// `None`.
    pub fn canceller(&self) -> Canceller {
        let canceller = self
            .canceller
            .get_or_init(|| self.cancelled_by(Canceller::default()));
        canceller.clone()
    }

    /// Has `canceller`, that of an earlier attempt, cancel this call too.
    pub(crate) fn set_canceller(&mut self, canceller: Canceller) {
        self.canceller = self.cancelled_by(canceller).into();
    }

    fn cancelled_by(&self, canceller: Canceller) -> Canceller {
        if let Some(incoming) = &self.incoming {
            canceller.set_waker(incoming.closer());
        }
        canceller
    }
}

impl<T> Iterator for Responses<T> {
    type Item = Result<T, ReceiveError>;

    /// Blocks until the next response, the end of the call or a timeout.
    fn next(&mut self) -> Option<Result<T, ReceiveError>> {
        if self.is_cancelled() {
            self.cancel();
        }
        let timeout = self.time_left();
        let received = self.incoming.as_mut()?.recv(timeout);
        self.received(received)
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
