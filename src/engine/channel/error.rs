//! Errors of sending and receiving. Data only.

use std::fmt;

/// Error of a non-blocking send. It returns the message.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError<T> {
    /// The channel is full.
    #[error("the channel is full")]
    Full(T),
    /// The receiver was dropped or the channel was closed. All further sends fail too.
    #[error("the receiver takes no more messages")]
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

/// Error of a send: the receiver was dropped or the channel was closed. It returns the message.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receiver takes no more messages")]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum RecvError {
    /// The channel is empty, or stayed so for the whole timeout.
    Empty,
    /// The channel is closed and empty.
    Closed,
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    /// Has no `Debug`, as most messages of a user's own.
    struct Secret;

    #[test]
    fn errors_of_sending_do_not_show_the_message() {
        let errors: [Box<dyn Error>; 3] = [
            Box::new(SendError(Secret)),
            Box::new(TrySendError::Full(Secret)),
            Box::new(TrySendError::Closed(Secret)),
        ];
        for error in errors {
            assert!(!format!("{error} {error:?}").contains("Secret"));
        }
    }
}
