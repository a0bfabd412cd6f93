//! One fetch: the attempts at a call, as one iterator of responses.

use std::fmt;
use std::time::{Duration, Instant};

use grpcio::{RpcStatus, RpcStatusCode};

use super::retry::{deadline_after, is_retryable, time_left, Retry};
use super::Client;
use crate::engine::{ReceiveError, ReceiveTimeouts, Responses};
use crate::proto::stream::{Request, Response};

/// A server may close a call by cancelling it when the deadline passes, and its clock may be this
/// much ahead of ours. The deadline is still what ended the call.
const CLOCKS_DIFFER: Duration = Duration::from_millis(10);

/// The responses to one request: an iterator that blocks.
///
/// A failure before the first response is retried as [`super::ClientConfig::retries`] says. After
/// an error it yields that error once, then `None`. Dropping it cancels the call.
pub struct Fetch {
    client: Client,
    request: Request,
    /// The attempt that goes on; `None` when the last one could not even begin.
    responses: Option<Responses<Response>>,
    /// Set by the first response: from then on nothing is retried.
    started: bool,
    retry: Retry,
    /// Of the whole fetch.
    deadline: Option<Instant>,
    /// Of the first response.
    first_deadline: Option<Instant>,
    failure: Option<ReceiveError>,
}

impl Fetch {
    pub(super) fn start(client: Client, id: i32) -> Fetch {
        let deadline = deadline_after(client.config.timeout);
        let mut fetch = Fetch {
            retry: Retry::new(client.config.retries, deadline),
            deadline,
            first_deadline: deadline_after(client.config.timeouts.first),
            request: Request {
                id,
                ..Request::default()
            },
            client,
            responses: None,
            started: false,
            failure: None,
        };
        fetch.attempt();
        fetch
    }

    /// Whether the next response is there already, so that asking for it will not block.
    pub fn is_ready(&self) -> bool {
        self.responses.as_ref().is_some_and(Responses::is_ready)
    }

    fn attempt(&mut self) {
        let timeouts = ReceiveTimeouts {
            first: time_left(self.first_deadline),
            ..self.client.config.timeouts
        };
        let left = time_left(self.deadline);
        match self.client.call(&self.request, left, timeouts) {
            Ok(responses) => self.responses = Some(responses),
            Err(error) => {
                self.responses = None;
                self.failure = Some(ReceiveError::Broken(error));
            }
        }
    }

    /// Whether to try again after this; blocks until that is due.
    fn goes_on_after(&mut self, error: &ReceiveError) -> bool {
        match error {
            ReceiveError::Status(status) => {
                !self.started && is_retryable(status.code()) && self.retry.pause()
            }
            _ => false,
        }
    }

    /// The error as the caller of the fetch, not of this attempt, is to see it.
    fn of_the_fetch(&self, error: ReceiveError) -> ReceiveError {
        match error {
            ReceiveError::FirstTimeout(left) => {
                ReceiveError::FirstTimeout(self.client.config.timeouts.first.unwrap_or(left))
            }
            ReceiveError::Status(status) if deadline_cancelled(&status, self.deadline) => {
                ReceiveError::Status(RpcStatus::new(RpcStatusCode::DEADLINE_EXCEEDED))
            }
            other => other,
        }
    }
}

fn deadline_cancelled(status: &RpcStatus, deadline: Option<Instant>) -> bool {
    status.code() == RpcStatusCode::CANCELLED
        && time_left(deadline).is_some_and(|left| left <= CLOCKS_DIFFER)
}

impl Iterator for Fetch {
    type Item = Result<Response, ReceiveError>;

    /// Blocks until the next response, the end of the last attempt or a timeout.
    fn next(&mut self) -> Option<Result<Response, ReceiveError>> {
        loop {
            if let Some(failure) = self.failure.take() {
                return Some(Err(failure));
            }
            match self.responses.as_mut()?.next() {
                Some(Err(error)) if self.goes_on_after(&error) => self.attempt(),
                Some(Err(error)) => return Some(Err(self.of_the_fetch(error))),
                Some(Ok(response)) => {
                    self.started = true;
                    return Some(Ok(response));
                }
                None => return None,
            }
        }
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("id", &self.request.id)
            .field("responses", &self.responses)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_at_the_deadline_is_the_deadlines() {
        let cancelled = RpcStatus::new(RpcStatusCode::CANCELLED);
        let soon = |limit| deadline_after(Some(limit));
        assert!(deadline_cancelled(&cancelled, soon(Duration::ZERO)));
        assert!(!deadline_cancelled(
            &cancelled,
            soon(Duration::from_secs(60))
        ));
        assert!(!deadline_cancelled(&cancelled, None));
        let other = RpcStatus::new(RpcStatusCode::ABORTED);
        assert!(!deadline_cancelled(&other, soon(Duration::ZERO)));
    }
}
