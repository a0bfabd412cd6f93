//! The reasons why a message was not sent or received. Data only.

use std::fmt;

/// Why a message could not be sent. It comes back to the sender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// No room at the moment.
    Full(T),
    /// The receiver is gone, or the channel was closed: no message will ever be taken again.
    Closed(T),
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Closed(_) => "Closed(..)",
        })
    }
}

/// The receiver is gone, or the channel was closed. The message comes back to the sender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

/// Why there was no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// None at the moment.
    Empty,
    /// None any more: the channel is closed and everything in it was taken.
    Closed,
}

/// Why [`Receiver::recv_timeout`](super::Receiver::recv_timeout) came back without a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// None came in time.
    Timeout,
    /// None will come: the channel is closed and everything in it was taken.
    Closed,
}
