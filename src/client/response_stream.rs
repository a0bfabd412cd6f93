//! The responses of a streaming call, with its retries, as one blocking iterator. It must not know the
//! messages.

use std::fmt;
use std::time::Instant;

use grpcio::{GrpcSlice, Marshaller, Metadata, Method, MethodType, RpcStatus};

use super::retry::{deadline_after, status_at_deadline, time_left, Retry};
use super::{CallSettings, Client};
use crate::engine::{receive, Payload, ReceiveError, ReceiveTimeouts, Responses};

/// The responses to one request: an iterator that blocks.
///
/// A failure before the first response is retried as [`CallSettings::retries`] says. After an error it
/// yields that error once, then `None`. Dropping it cancels the call.
pub struct ResponseStream<T> {
    client: Client,
    method: Method<GrpcSlice, T>,
    /// Encoded.
    request: GrpcSlice,
    settings: CallSettings,
    /// The current attempt; `None` when the last one could not begin.
    responses: Option<Responses<T>>,
    /// Set by the first response: from then on nothing is retried.
    started: bool,
    retry: Retry,
    /// Of the whole call.
    deadline: Option<Instant>,
    /// Of the first response.
    first_deadline: Option<Instant>,
    failure: Option<ReceiveError>,
}

impl<T: Payload> ResponseStream<T> {
    pub(super) fn start<Req>(
        client: Client,
        method: &Method<Req, T>,
        request: &Req,
        settings: CallSettings,
    ) -> ResponseStream<T> {
        let deadline = deadline_after(settings.timeout);
        let mut stream = ResponseStream {
            method: encoded(method),
            request: GrpcSlice::default(),
            retry: Retry::new(settings.retries, deadline),
            deadline,
            first_deadline: deadline_after(settings.timeouts.first),
            client,
            settings,
            responses: None,
            started: false,
            failure: None,
        };
        match (method.req_mar.ser)(request, &mut stream.request) {
            Ok(()) => stream.attempt(),
            Err(error) => stream.failure = Some(ReceiveError::Broken(error)),
        }
        stream
    }

    fn attempt(&mut self) {
        let timeouts = ReceiveTimeouts {
            first: time_left(self.first_deadline),
            ..self.settings.timeouts
        };
        let options = self.settings.options(time_left(self.deadline));
        let core = &self.client.core;
        match core.server_streaming(&self.method, &self.request, options) {
            Ok(stream) => {
                self.responses = Some(receive(core, stream, self.settings.capacity, timeouts));
            }
            Err(error) => {
                self.responses = None;
                self.failure = Some(ReceiveError::Broken(error));
            }
        }
    }
}

impl<T> ResponseStream<T> {
    /// True when the next response has arrived, so that `next` will not block.
    pub fn is_ready(&self) -> bool {
        self.responses.as_ref().is_some_and(Responses::is_ready)
    }

    /// The server's headers (initial metadata). `None` until the first response or the end.
    pub fn headers(&self) -> Option<&Metadata> {
        self.responses.as_ref()?.headers()
    }

    /// The status that the call ended with. `None` until it has ended, and after this side cancelled
    /// it.
    pub fn status(&self) -> Option<RpcStatus> {
        self.responses.as_ref()?.status()
    }

    /// Cancels the call; there is no next response.
    pub fn cancel(&mut self) {
        self.failure = None;
        if let Some(responses) = &mut self.responses {
            responses.cancel();
        }
    }

    /// Whether to try again after this; blocks until that is due.
    fn goes_on_after(&mut self, error: &ReceiveError) -> bool {
        match error {
            ReceiveError::Status(status) => !self.started && self.retry.pause_after(status),
            _ => false,
        }
    }

    /// The error of the whole call, given that of its last attempt.
    fn of_the_call(&self, error: ReceiveError) -> ReceiveError {
        match error {
            ReceiveError::FirstTimeout(left) => {
                ReceiveError::FirstTimeout(self.settings.timeouts.first.unwrap_or(left))
            }
            ReceiveError::Status(status) => {
                ReceiveError::Status(status_at_deadline(status, self.deadline))
            }
            other => other,
        }
    }
}

/// The method with requests that are encoded once, for all attempts.
fn encoded<Req, T>(method: &Method<Req, T>) -> Method<GrpcSlice, T> {
    Method {
        ty: MethodType::ServerStreaming,
        name: method.name,
        req_mar: Marshaller {
            ser: |request, slice| {
                *slice = request.clone();
                Ok(())
            },
            de: |_| Err(grpcio::Error::Codec("a client decodes no requests".into())),
        },
        resp_mar: Marshaller {
            ser: method.resp_mar.ser,
            de: method.resp_mar.de,
        },
    }
}

impl<T: Payload> Iterator for ResponseStream<T> {
    type Item = Result<T, ReceiveError>;

    /// Blocks until the next response, the end of the last attempt or a timeout.
    fn next(&mut self) -> Option<Result<T, ReceiveError>> {
        loop {
            if let Some(failure) = self.failure.take() {
                return Some(Err(failure));
            }
            match self.responses.as_mut()?.next() {
                Some(Err(error)) if self.goes_on_after(&error) => self.attempt(),
                Some(Err(error)) => return Some(Err(self.of_the_call(error))),
                Some(Ok(response)) => {
                    self.started = true;
                    return Some(Ok(response));
                }
                None => return None,
            }
        }
    }
}

impl<T> fmt::Debug for ResponseStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseStream")
            .field("method", &self.method.name)
            .field("responses", &self.responses)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}
