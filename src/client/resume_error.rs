//! The errors of a stream that goes on after losses. Data only.

use grpcio::{RpcStatus, RpcStatusCode};

use crate::engine::{CallStatus, ReceiveError};
use crate::Status;

/// Error of a stream that goes on after losses: see
/// [`ResponseStream::resuming`](super::ResponseStream::resuming).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The call failed, and another attempt would not help, or the server gives no positions.
    #[error(transparent)]
    Call(ReceiveError),
    /// No response in as many attempts as allowed, or no time for another one.
    #[error("gave up after {attempts} attempts in a row: {last}")]
    GaveUp {
        /// Their number, without the call that broke.
        attempts: u32,
        /// The last error.
        last: ReceiveError,
    },
    /// The server ignores positions, or a proxy removes them. Responses would come twice.
    #[error("cannot resume: the server, or a proxy before it, ignores the position")]
    Ignored,
    /// The server refuses the position: what follows is gone (OUT_OF_RANGE) or replaced
    /// (FAILED_PRECONDITION), or the position is not this server's (INVALID_ARGUMENT).
    #[error("cannot resume: {0}")]
    Gap(CallStatus),
}

impl ResumeError {
    /// The code of the error: that of the last call, or DATA_LOSS for [`ResumeError::Ignored`].
    pub fn code(&self) -> RpcStatusCode {
        match self {
            ResumeError::Call(error) | ResumeError::GaveUp { last: error, .. } => error.code(),
            ResumeError::Ignored => RpcStatusCode::DATA_LOSS,
            ResumeError::Gap(status) => status.code(),
        }
    }

    /// The status of the last call, if it ended with one.
    pub fn status(&self) -> Option<&CallStatus> {
        match self {
            ResumeError::Call(error) | ResumeError::GaveUp { last: error, .. } => error.status(),
            ResumeError::Ignored => None,
            ResumeError::Gap(status) => Some(status),
        }
    }
}

impl From<ResumeError> for Status {
    /// The status of a failed call, or the error's code and text.
    fn from(error: ResumeError) -> Status {
        match error {
            ResumeError::Call(error) => error.into(),
            other => Status::new(other.code(), other.to_string()).with_source(other),
        }
    }
}

impl From<ResumeError> for RpcStatus {
    /// As into [`Status`].
    fn from(error: ResumeError) -> RpcStatus {
        Status::from(error).into()
    }
}
