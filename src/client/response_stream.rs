//! A blocking iterator over the responses of a streaming call, including its retries. It must not
//! know the messages.
//!
//! | state | event | result |
//! | --- | --- | --- |
//! | no response yet | retryable status, retries left | waits, then starts the next attempt |
//! | no response yet | any other error | yields the error |
//! | no response yet | response | yields it; from then on nothing is retried |
//! | started | error | yields the error |
//! | any | end with OK, an error yielded, cancelled | yields `None` |

use std::fmt;
use std::time::Instant;

use grpcio::{GrpcSlice, Marshaller, Metadata, Method, MethodType};

use super::retry::{deadline_after, status_at_deadline, time_left, Retry};
use super::unary::reports_metadata;
use super::{CallSettings, Client};
use crate::engine::frames::Frames;
use crate::engine::{
    receive, receive_frames, CallStatus, Payload, ReceiveError, ReceiveTimeouts, Responses,
};

/// A blocking iterator over the responses to one request.
///
/// A call that fails before its first response is retried up to [`CallSettings::retries`] times. An
/// error is yielded once, then `None`. Dropping the iterator cancels the call.
pub struct ResponseStream<T> {
    /// The current attempt; `None` if the last one could not begin. Dropped before `client`, whose
    /// poll thread sends the cancellation.
    responses: Option<Responses<T>>,
    client: Client,
    method: Method<GrpcSlice, T>,
    /// Encoded once, for all attempts.
    request: GrpcSlice,
    settings: CallSettings,
    /// True from the first response on: the call is no longer retried.
    started: bool,
    retry: Retry,
    /// Deadline of the whole call.
    deadline: Option<Instant>,
    /// Deadline of the first response.
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
        let attempts = self.retry.attempts();
        let options = self.settings.options(time_left(self.deadline), attempts);
        let (core, capacity) = (&self.client.core, self.settings.capacity);
        let responses = match self.client.receives_frames {
            true => {
                // The patched C-core takes this flag as the wish for frames.
                let options = options.write_flags(reports_metadata().force_no_compress(true));
                let decode = self.method.resp_mar.de;
                core.server_streaming(&framed(self.method.name), &self.request, options)
                    .map(|stream| receive_frames(core, stream, decode, capacity, timeouts))
            }
            false => core
                .server_streaming(
                    &self.method,
                    &self.request,
                    options.write_flags(reports_metadata()),
                )
                .map(|stream| receive(core, stream, capacity, timeouts)),
        };
        match responses {
            Ok(responses) => self.responses = Some(responses),
            Err(error) => {
                self.responses = None;
                self.failure = Some(ReceiveError::Broken(error));
            }
        }
    }
}

impl<T> ResponseStream<T> {
    /// Returns true if the next response has arrived, so that `next` does not block.
    pub fn is_ready(&self) -> bool {
        self.responses.as_ref().is_some_and(Responses::is_ready)
    }

    /// Returns the server's headers (initial metadata), or `None` before the first response or the
    /// end.
    pub fn headers(&self) -> Option<&Metadata> {
        self.responses.as_ref()?.headers()
    }

    /// Returns the status of the call with its trailers, once it has ended. `None` before, and after
    /// a cancellation by this side.
    pub fn status(&self) -> Option<&CallStatus> {
        self.responses.as_ref()?.status()
    }

    /// Cancels the call. `next` then returns `None`. Never blocks.
    pub fn cancel(&mut self) {
        self.failure = None;
        if let Some(responses) = &mut self.responses {
            responses.cancel();
        }
    }

    /// Returns true if the call should be retried. Blocks until the retry is due.
    fn should_retry(&mut self, error: &ReceiveError) -> bool {
        match error {
            ReceiveError::Status(status) => !self.started && self.retry.pause_after(status),
            _ => false,
        }
    }

    /// Converts the error of the last attempt to that of the whole call.
    fn call_error(&self, error: ReceiveError) -> ReceiveError {
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

/// Requests are encoded once, for all attempts.
const ENCODED: Marshaller<GrpcSlice> = Marshaller {
    ser: |request, slice| {
        *slice = request.clone();
        Ok(())
    },
    de: |_| Err(grpcio::Error::Codec("a client decodes no requests".into())),
};

/// Returns the method with encoded requests.
fn encoded<Req, T>(method: &Method<Req, T>) -> Method<GrpcSlice, T> {
    Method {
        ty: MethodType::ServerStreaming,
        name: method.name,
        req_mar: ENCODED,
        resp_mar: Marshaller {
            ser: method.resp_mar.ser,
            de: method.resp_mar.de,
        },
    }
}

/// Returns the method `name` with encoded requests and responses in frames.
fn framed(name: &'static str) -> Method<GrpcSlice, Frames> {
    Method {
        ty: MethodType::ServerStreaming,
        name,
        req_mar: ENCODED,
        resp_mar: Marshaller {
            ser: |_, _| Err(grpcio::Error::Codec("a client encodes no responses".into())),
            de: Frames::receive,
        },
    }
}

impl<T: Payload> Iterator for ResponseStream<T> {
    type Item = Result<T, ReceiveError>;

    /// Returns the next response. Blocks until it arrives, the last attempt ends, or a timeout
    /// passes.
    fn next(&mut self) -> Option<Result<T, ReceiveError>> {
        loop {
            if let Some(failure) = self.failure.take() {
                return Some(Err(failure));
            }
            match self.responses.as_mut()?.next() {
                Some(Err(error)) if self.should_retry(&error) => self.attempt(),
                Some(Err(error)) => return Some(Err(self.call_error(error))),
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
