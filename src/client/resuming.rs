//! A blocking iterator that goes on where a broken call stopped. It must not know the messages, nor
//! the content of tokens.
//!
//! | state | event | result |
//! | --- | --- | --- |
//! | asked for a position | first response, or OK, with the echo of that position | goes on |
//! | asked for a position | first response, or OK, without it | yields [`ResumeError::Ignored`] |
//! | asked for a position | the server refuses it | restarts, or yields [`ResumeError::Gap`] |
//! | a position, or no response so far | loss | waits, and asks for the position |
//! | neither | loss | yields [`ResumeError::Call`] |
//! | any | as many attempts in a row as the policy allows | yields [`ResumeError::GaveUp`] |
//! | any | another failure | yields [`ResumeError::Call`] |
//! | any | end with OK, an error yielded, cancelled | yields `None` |

use std::fmt;

use grpcio::RpcStatusCode;

use super::retry::{is_loss, Retry};
use super::{Header, ResponseStream, ResumeError};
use crate::engine::{CallStatus, Canceller, Payload, ReceiveError, StatusOrigin};
use crate::resume::Position;

/// When a broken stream goes on, and how often: see [`ResponseStream::resuming`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumePolicy {
    /// The attempts in a row without a response, after which it gives up. The pause before each is
    /// random, up to 100 ms first and up to 5 s later. The default is 20, some 40 s.
    pub max_attempts: u32,
    /// What to do if the server no longer has what follows. The default is to fail.
    pub on_gap: OnGap,
}

impl Default for ResumePolicy {
    fn default() -> ResumePolicy {
        ResumePolicy {
            max_attempts: 20,
            on_gap: OnGap::Fail,
        }
    }
}

/// What to do if the data behind a position are gone or replaced (OUT_OF_RANGE, FAILED_PRECONDITION).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnGap {
    /// Yield [`ResumeError::Gap`].
    #[default]
    Fail,
    /// Start again from the beginning, with all responses.
    Restart,
}

/// A blocking iterator over the responses to one request, which goes on after losses. See
/// [`ResponseStream::resuming`].
///
/// An error is yielded once, then `None`. Dropping the iterator cancels the call.
pub struct ResumingStream<T> {
    stream: ResponseStream<T>,
    policy: ResumePolicy,
    /// `None` until a server has given a token.
    position: Option<Position>,
    /// The position for which the current attempt has asked.
    asked: Option<Position>,
    /// The current attempt has had no response yet.
    awaits_first: bool,
    /// The responses so far, of all attempts since the start or the restart.
    responses: u64,
    /// The attempts that are left since the last response.
    attempts: Retry,
    is_over: bool,
}

impl<T: Payload> ResponseStream<T> {
    /// Goes on where the call breaks: with a server that gives positions, such as that of
    /// `sources::service`, there are no gaps and no duplicates.
    ///
    /// A loss is the server's UNAVAILABLE, RESOURCE_EXHAUSTED or CANCELLED, a broken connection or
    /// stream, a proxy's error that may pass, and the idle timeout. After it, the stream asks for the
    /// position of the next response. The deadline of the call holds for all attempts together. The
    /// timeout of the first response holds for the first attempt; that of later ones has the idle
    /// timeout. [`CallSettings::retries`](super::CallSettings::retries) no longer applies: the policy
    /// counts.
    ///
    /// Without responses so far, each call is asked again. After one, a server that gives no positions
    /// makes a loss final. Each attempt is a new call, so a server checks tokens and limits again.
    ///
    /// ```no_run
    /// # use fanstream::{client::{Client, ResumePolicy}, proto::stream::Request, tutorial::FETCH_RESPONSE};
    /// # fn example(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let stream = client.call(&FETCH_RESPONSE, Request::default());
    /// for response in stream.resuming(ResumePolicy::default()) {
    ///     println!("{}", response?.result); // blocks, also while the server restarts
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn resuming(mut self, policy: ResumePolicy) -> ResumingStream<T> {
        let attempts = self.without_retries(policy.max_attempts);
        ResumingStream {
            stream: self,
            policy,
            position: None,
            asked: None,
            awaits_first: true,
            responses: 0,
            attempts,
            is_over: false,
        }
    }
}

impl<T: Payload> ResumingStream<T> {
    /// Returns a handle that cancels the stream from any thread, also while `next` blocks: it then
    /// returns `None`.
    pub fn canceller(&self) -> Canceller {
        self.stream.canceller()
    }

    /// Returns true if the next response has arrived, so that `next` does not block.
    pub fn is_ready(&self) -> bool {
        self.stream.is_ready()
    }

    /// Returns the position of the next response. `None` before the server has given one, and if it
    /// gives none.
    pub fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Returns the status of the last call, once it has ended. As [`ResponseStream::status`].
    pub fn status(&self) -> Option<&CallStatus> {
        self.stream.status()
    }

    /// The first response of an attempt has arrived, or its OK.
    fn begin(&mut self) -> Result<(), ResumeError> {
        self.awaits_first = false;
        let headers = self.stream.headers();
        if self.asked.is_some() && headers.and_then(Position::resumed) != self.asked {
            return Err(ResumeError::Ignored);
        }
        self.position = headers.and_then(Position::start);
        self.attempts = self.stream.retries(self.policy.max_attempts);
        Ok(())
    }

    /// After an error: waits for the next attempt, or fails.
    fn recover(&mut self, error: ReceiveError) -> Result<(), ResumeError> {
        match error.status() {
            Some(status) if self.awaits_first && self.is_refusal(status) => {
                let is_gap = status.code() != RpcStatusCode::INVALID_ARGUMENT;
                if !is_gap || self.policy.on_gap == OnGap::Fail {
                    return Err(ResumeError::Gap(status.clone()));
                }
                self.position = None;
                self.responses = 0;
            }
            _ if !is_loss(&error) => return Err(ResumeError::Call(error)),
            _ => self.keep_early_position(),
        }
        if self.position.is_none() && self.responses > 0 {
            return Err(ResumeError::Call(error));
        }
        let Some(delay) = self.attempts.delay() else {
            let attempts = self.attempts.attempts();
            return Err(ResumeError::GaveUp {
                attempts,
                last: error,
            });
        };
        self.asked = self.position.clone();
        self.awaits_first = true;
        let headers = self.asked.as_ref().map(headers);
        self.stream.restart(delay, headers.into_iter().flatten());
        Ok(())
    }

    fn fail(&mut self, failure: ResumeError) -> Option<Result<T, ResumeError>> {
        self.is_over = true;
        self.stream.cancel();
        Some(Err(failure))
    }

    /// Whether the server refuses the position. One that accepts it tells so in its headers.
    fn is_refusal(&self, status: &CallStatus) -> bool {
        self.asked.is_some()
            && status.origin() == StatusOrigin::Server
            && Position::resumed(status.headers()).is_none()
            && [
                RpcStatusCode::OUT_OF_RANGE,
                RpcStatusCode::FAILED_PRECONDITION,
                RpcStatusCode::INVALID_ARGUMENT,
            ]
            .contains(&status.code())
    }

    /// A server may have sent its headers before the loss, and no response.
    fn keep_early_position(&mut self) {
        if self.awaits_first && self.position.is_none() {
            self.position = self.stream.headers().and_then(Position::start);
        }
    }
}

/// The headers of an attempt.
fn headers(position: &Position) -> [Header; 2] {
    position.request_headers().map(|(name, value)| {
        Header::new(name, value).expect("the names and values of a position are valid")
    })
}

impl<T: Payload> Iterator for ResumingStream<T> {
    type Item = Result<T, ResumeError>;

    /// Returns the next response. Blocks until it arrives, the policy gives up, or a timeout passes.
    fn next(&mut self) -> Option<Result<T, ResumeError>> {
        while !self.is_over {
            let next = self.stream.next();
            let has_begun = match &next {
                Some(response) => response.is_ok(),
                // With OK. Without a status, this side has cancelled the call.
                None => self.stream.status().is_some(),
            };
            if self.awaits_first && has_begun {
                if let Err(failure) = self.begin() {
                    return self.fail(failure);
                }
            }
            match next {
                Some(Ok(response)) => {
                    self.responses += 1;
                    if let Some(position) = &mut self.position {
                        position.count += 1;
                    }
                    return Some(Ok(response));
                }
                Some(Err(error)) => {
                    if let Err(failure) = self.recover(error) {
                        return self.fail(failure);
                    }
                }
                None => self.is_over = true,
            }
        }
        None
    }
}

impl<T> fmt::Debug for ResumingStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumingStream")
            .field("stream", &self.stream)
            .field("policy", &self.policy)
            .field("responses", &self.responses)
            .finish_non_exhaustive()
    }
}
