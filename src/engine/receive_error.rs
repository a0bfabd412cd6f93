//! The timeouts of a call that receives, and its errors. Data only.

use std::time::Duration;

use grpcio::{RpcStatus, RpcStatusCode};
use humantime::format_duration;

use super::call_status::CallStatus;
use super::grpcio_error::Words;
use crate::Status;

/// Timeouts of the wait for one response; `None` waits until the call ends. The deadline of the
/// whole call is `CallOption::timeout`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveTimeouts {
    /// For the first response, from the moment the caller asks for it.
    pub first: Option<Duration>,
    /// For each further response, likewise.
    pub idle: Option<Duration>,
}

/// No response came within the time given to [`Responses::next_timeout`](super::Responses::next_timeout).
/// The call continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no response yet")]
pub struct Elapsed;

/// Error of a receiving call.
///
/// It converts into [`Status`] and into grpcio's `RpcStatus`, so a handler that makes a call can pass
/// it on with `?`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The call ended with a status other than OK.
    #[error("{0}")]
    Status(CallStatus),
    /// No first response within [`ReceiveTimeouts::first`]; the call was cancelled.
    #[error("no response within {}", format_duration(*.0))]
    FirstTimeout(Duration),
    /// No further response within [`ReceiveTimeouts::idle`]; the call was cancelled.
    #[error("no further response within {}", format_duration(*.0))]
    IdleTimeout(Duration),
    /// A response could not be decoded, or the call broke without a status.
    #[error("the call broke: {}", Words(.0))]
    Broken(grpcio::Error),
}

impl ReceiveError {
    /// The code of the error: that of the status, DEADLINE_EXCEEDED after a timeout, INTERNAL for a
    /// broken call.
    pub fn code(&self) -> RpcStatusCode {
        match self {
            ReceiveError::Status(status) => status.code(),
            ReceiveError::FirstTimeout(_) | ReceiveError::IdleTimeout(_) => {
                RpcStatusCode::DEADLINE_EXCEEDED
            }
            // gRPC prescribes this code for a response that cannot be parsed.
            ReceiveError::Broken(_) => RpcStatusCode::INTERNAL,
        }
    }

    /// The status with which the call ended. `None` if this side gave up, or could not use a
    /// response.
    pub fn status(&self) -> Option<&CallStatus> {
        match self {
            ReceiveError::Status(status) => Some(status),
            _ => None,
        }
    }
}

impl From<ReceiveError> for Status {
    /// The status of the call with its details, or the error's code and text.
    fn from(error: ReceiveError) -> Status {
        match error {
            ReceiveError::Status(status) => RpcStatus::from(status).into(),
            other => Status::new(other.code(), other.to_string()).with_source(other),
        }
    }
}

impl From<ReceiveError> for RpcStatus {
    /// The status of the call with its details, or the error's code and text.
    fn from(error: ReceiveError) -> RpcStatus {
        match error {
            ReceiveError::Status(status) => status.into(),
            other => Status::from(other).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_passed_on_with_its_details() {
        let status = RpcStatus::with_details(5, "no such file".into(), vec![1, 2]);
        let error = ReceiveError::Status(status.into());
        assert_eq!(error.code(), RpcStatusCode::NOT_FOUND);
        assert_eq!(error.status().unwrap().message(), "no such file");
        let passed_on = RpcStatus::from(error);
        assert_eq!(passed_on.code(), RpcStatusCode::NOT_FOUND);
        assert_eq!(passed_on.message(), "no such file");
        assert_eq!(passed_on.details(), [1, 2]);
    }

    #[test]
    fn other_errors_become_a_status_with_their_text() {
        let second = Duration::from_secs(1);
        let broken = grpcio::Error::Codec("cut off".into());
        let (late, internal) = (RpcStatusCode::DEADLINE_EXCEEDED, RpcStatusCode::INTERNAL);
        for (error, code, text) in [
            (ReceiveError::FirstTimeout(second), late, "no response"),
            (
                ReceiveError::IdleTimeout(second),
                late,
                "no further response",
            ),
            (ReceiveError::Broken(broken), internal, "cut off"),
        ] {
            assert_eq!(error.code(), code);
            assert!(error.status().is_none());
            let status = RpcStatus::from(error);
            assert_eq!(status.code(), code);
            assert!(status.message().contains(text), "{}", status.message());
        }
    }
}
