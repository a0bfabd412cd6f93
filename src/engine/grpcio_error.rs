//! grpcio's errors in words: its `Display` is its `Debug` for most of them.

use std::fmt;

use grpcio::Error;

/// Displays an error of grpcio.
pub(crate) struct Words<'a>(pub(crate) &'a Error);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Codec(why) => write!(f, "{why}"),
            Error::InvalidMetadata(why) => f.write_str(why),
            Error::RpcFailure(status) | Error::RpcFinished(Some(status)) => {
                f.write_str(status.message())
            }
            Error::RpcFinished(None) => f.write_str("the call has ended"),
            Error::RemoteStopped => f.write_str("the other side has ended it"),
            Error::QueueShutdown => f.write_str("its poll thread has ended"),
            _ => f.write_str("the C-core refused an operation"),
        }
    }
}

/// A copy of the error: grpcio's is not `Clone`.
pub(super) fn copy(error: &Error) -> Error {
    match error {
        Error::RemoteStopped => Error::RemoteStopped,
        Error::QueueShutdown => Error::QueueShutdown,
        other => Error::Codec(Words(other).to_string().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_is_a_debug_form() {
        let codec = Error::Codec("cut off".into());
        assert_eq!(Words(&codec).to_string(), "cut off");
        assert_eq!(Words(&copy(&codec)).to_string(), "cut off");
        let ended = copy(&Error::QueueShutdown);
        assert_eq!(Words(&ended).to_string(), "its poll thread has ended");
    }
}
