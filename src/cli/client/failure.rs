//! Failures of the client's program: the message and the exit code of an error of the library. The
//! only file that maps them.

use std::io;
use std::time::Duration;

use grpcio::RpcStatusCode;
use humantime::format_duration;

use super::terminal::Terminal;
use crate::cli::common::Exit;
use crate::client::{status_name, ConnectError, ResumeError};
use crate::engine::ReceiveError;

/// A failure as the user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The name of the status.
    pub(super) status: String,
    pub(super) message: String,
    pub(super) exit: Exit,
}

impl Failure {
    /// The failure of a connection.
    pub(super) fn of_connecting(error: &ConnectError) -> Failure {
        let code = error.code();
        Failure {
            status: status_name(code),
            message: error.to_string(),
            exit: match code {
                RpcStatusCode::DEADLINE_EXCEEDED => Exit::TimedOut,
                _ => Exit::NoConnection,
            },
        }
    }

    /// The failure of a call with this `timeout`.
    pub(super) fn of_call(error: &ReceiveError, timeout: Option<Duration>) -> Failure {
        let code = error.code();
        let message = match error.status() {
            Some(status) => message(code, status.message(), timeout),
            None => error.to_string(),
        };
        Failure {
            status: status_name(code),
            message,
            exit: match code {
                RpcStatusCode::DEADLINE_EXCEEDED => Exit::TimedOut,
                _ => Exit::Status,
            },
        }
    }

    /// The failure of a call that goes on after losses.
    pub(super) fn of_resuming(error: &ResumeError, timeout: Option<Duration>) -> Failure {
        match error {
            ResumeError::Call(error) => Failure::of_call(error, timeout),
            ResumeError::GaveUp { attempts, last } => {
                let mut failure = Failure::of_call(last, timeout);
                let last = failure.message;
                failure.message = match attempts {
                    0 => last,
                    _ => format!("gave up after {attempts} attempts in a row: {last}"),
                };
                failure
            }
            other => Failure {
                status: status_name(other.code()),
                message: match other.status() {
                    Some(status) => format!("cannot resume: {}", status.message()),
                    None => other.to_string(),
                },
                exit: Exit::Status,
            },
        }
    }

    /// Prints the failure, with the id of its call if it has one.
    pub(super) fn print(&self, terminal: &Terminal, id: Option<i32>) {
        let Failure {
            status, message, ..
        } = self;
        match id {
            Some(id) => terminal.failure(&format!("id {id}: {status}: {message}")),
            None => terminal.failure(&format!("{status}: {message}")),
        }
    }
}

/// The exit code after a failed write to standard output. A closed pipe is not a failure: `client | head
/// -1` closes it when it has its line.
pub(super) fn output_failed(terminal: &Terminal, error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Exit::Complete,
        _ => {
            terminal.failure(&format!("cannot write to standard output: {error}"));
            Exit::Failed
        }
    }
}

/// The message of a status, or a clearer one if it is empty or the C-core's own.
fn message(code: RpcStatusCode, message: &str, timeout: Option<Duration>) -> String {
    match (code, message, timeout) {
        (RpcStatusCode::DEADLINE_EXCEEDED, "" | "Deadline Exceeded", Some(timeout)) => {
            format!("not complete within {}", format_duration(timeout))
        }
        (RpcStatusCode::UNIMPLEMENTED, "", _) => {
            "the server does not have protobuf.StreamService".into()
        }
        (_, "", _) => "the server gives no reason".into(),
        _ => message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_call_is_explained_in_words() {
        let undecodable = ReceiveError::Broken(grpcio::Error::Codec("incorrect tag".into()));
        let failure = Failure::of_call(&undecodable, None);
        assert_eq!(failure.message, "the call broke: incorrect tag");
        assert_eq!(failure.status, "INTERNAL");
    }

    #[test]
    fn a_status_without_a_message_is_explained() {
        let timeout = Some(Duration::from_millis(1500));
        let late = RpcStatusCode::DEADLINE_EXCEEDED;
        assert_eq!(
            message(late, "Deadline Exceeded", timeout),
            "not complete within 1s 500ms"
        );
        assert_eq!(
            message(late, "the server's own", timeout),
            "the server's own"
        );
        assert_eq!(
            message(late, "Deadline Exceeded", None),
            "Deadline Exceeded"
        );
        let unknown = message(RpcStatusCode::UNIMPLEMENTED, "", None);
        assert!(unknown.contains("StreamService"));
        assert!(message(RpcStatusCode::INTERNAL, "", None).contains("no reason"));
    }
}
