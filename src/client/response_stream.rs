//! A blocking iterator over the responses of a streaming call, including its retries. It must not
//! know the messages.
//!
//! | state | event | result |
//! | --- | --- | --- |
//! | no response yet | retryable status, retries left in time | waits |
//! | no response yet | any other error | yields the error |
//! | no response yet | response | yields it; from then on nothing is retried |
//! | waiting | the retry is due, or the race of addresses is over | starts the next attempt |
//! | started | error | yields the error |
//! | any | end with OK, an error yielded, cancelled | yields `None` |

use std::fmt;
use std::sync::OnceLock;
use std::task::Context;
use std::time::{Duration, Instant};

use futures::FutureExt;
use grpcio::{GrpcSlice, Marshaller, Metadata, Method, MethodType, WriteFlags};

use super::connection::Race;
use super::retry::{deadline_after, status_at_deadline, time_left, Retry};
use super::{CallSettings, Client, Header};
use crate::engine::frames::Frames;
use crate::engine::status::has_metadata;
use crate::engine::thread_waker::ThreadWaker;
use crate::engine::{
    receive, receive_frames, CallStatus, Canceller, Elapsed, Payload, ReceiveError,
    ReceiveTimeouts, Responses,
};

/// What an attempt waits for.
enum Wait {
    /// The end of the pause before a retry.
    Due(Instant),
    /// The addresses of a lazily connected client.
    Race(Race),
}

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
    /// What the next attempt waits for, if it does.
    wait: Option<Wait>,
    /// Deadline of the whole call.
    deadline: Option<Instant>,
    /// Deadline of the first response, from the moment the caller asks for it. It bounds the retries.
    first_deadline: Option<Instant>,
    failure: Option<ReceiveError>,
    /// After a [restart](ResponseStream::restart): the number of the call's own headers, before those of
    /// the attempt.
    own_headers: Option<usize>,
    /// Set once somebody wants to cancel from elsewhere.
    canceller: OnceLock<Canceller>,
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
            wait: None,
            deadline,
            first_deadline: None,
            client,
            settings,
            responses: None,
            started: false,
            failure: None,
            own_headers: None,
            canceller: OnceLock::new(),
        };
        match (method.req_mar.ser)(request, &mut stream.request) {
            Ok(()) => match stream.client.connection.race() {
                Some(race) => stream.wait = Some(Wait::Race(race)),
                None => stream.attempt(),
            },
            Err(error) => stream.failure = Some(ReceiveError::Broken(error)),
        }
        stream
    }

    fn attempt(&mut self) {
        let timeouts = ReceiveTimeouts {
            first: time_left(self.first_deadline).or(self.settings.timeouts.first),
            ..self.settings.timeouts
        };
        let attempts = self.retry.attempts();
        let options = self.settings.options(time_left(self.deadline), attempts);
        let (core, capacity) = (self.client.connection.core(), self.settings.capacity);
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
            Ok(mut responses) => {
                if let Some(canceller) = self.canceller.get() {
                    responses.set_canceller(canceller.clone());
                }
                self.responses = Some(responses);
            }
            Err(error) => {
                self.responses = None;
                self.failure = Some(ReceiveError::Broken(error));
            }
        }
    }

    /// Returns a handle that cancels the call from any thread, also while `next` blocks: it then
    /// returns `None`.
    ///
    /// ```no_run
    /// # use fanstream::{client::Client, proto::stream::Request, tutorial::FETCH_RESPONSE};
    /// # fn example(client: &Client) {
    /// let stream = client.call(&FETCH_RESPONSE, Request::default());
    /// let canceller = stream.canceller();
    /// std::thread::spawn(move || {
    ///     for response in stream { /* may block for hours */ }
    /// });
    /// canceller.cancel(); // the thread ends
    /// # }
    /// ```
    pub fn canceller(&self) -> Canceller {
        let of_attempt = || self.responses.as_ref().map(Responses::canceller);
        let canceller = self
            .canceller
            .get_or_init(|| of_attempt().unwrap_or_default());
        canceller.clone()
    }

    /// Like `next`, but blocks for at most `timeout`, which does not end the call: for a caller that
    /// has something else to do meanwhile.
    ///
    /// The time counts for the [timeouts](ReceiveTimeouts) of the call: they begin when the caller
    /// first asks for a response, however often it asks again.
    ///
    /// # Errors
    /// [`Elapsed`] if there is no response yet.
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Result<T, ReceiveError>>, Elapsed> {
        self.next_until(deadline_after(Some(timeout)))
    }

    /// Like `next`, but blocks until `latest` at most. Without it, never returns [`Elapsed`].
    fn next_until(
        &mut self,
        latest: Option<Instant>,
    ) -> Result<Option<Result<T, ReceiveError>>, Elapsed> {
        if !self.started && self.first_deadline.is_none() && self.own_headers.is_none() {
            self.first_deadline = deadline_after(self.settings.timeouts.first);
            self.retry.end_by(self.first_deadline);
        }
        loop {
            if self.canceller.get().is_some_and(Canceller::is_cancelled) {
                self.cancel();
            }
            if let Some(wait) = &self.wait {
                if self.wait(wait, latest)? {
                    self.wait = None;
                    self.attempt();
                }
                continue;
            }
            if let Some(failure) = self.failure.take() {
                return Ok(Some(Err(failure)));
            }
            let Some(responses) = &mut self.responses else {
                return Ok(None);
            };
            let next = match time_left(latest) {
                Some(left) => responses.next_timeout(left)?,
                None => responses.next(),
            };
            match next {
                Some(Err(error)) => match self.retry_delay(&error) {
                    Some(delay) => self.wait = Some(Wait::Due(Instant::now() + delay)),
                    None => return Ok(Some(Err(self.call_error(error)))),
                },
                Some(Ok(response)) => {
                    self.started = true;
                    return Ok(Some(Ok(response)));
                }
                None => return Ok(None),
            }
        }
    }
}

impl<T> ResponseStream<T> {
    /// Has the first attempt retried only if the server has not processed it. Returns the retries of a
    /// caller that restarts the call.
    pub(super) fn without_retries(&mut self, retries: u32) -> Retry {
        self.retry = Retry::new(0, self.deadline);
        self.retries(retries)
    }

    /// Returns so many retries within the deadline of the call.
    pub(super) fn retries(&self, retries: u32) -> Retry {
        Retry::new(retries, self.deadline)
    }

    /// Makes the call again after `delay`, with further headers instead of those of an earlier restart.
    /// The deadline stays; the idle timeout holds for the first response too.
    pub(super) fn restart(&mut self, delay: Duration, headers: impl IntoIterator<Item = Header>) {
        let own_headers = self.settings.headers.len();
        let own_headers = *self.own_headers.get_or_insert(own_headers);
        self.settings.headers.truncate(own_headers);
        self.settings.headers.extend(headers);
        self.settings.timeouts.first = self.settings.timeouts.idle;
        self.first_deadline = None;
        self.retry = Retry::new(0, self.deadline);
        self.responses = None;
        self.failure = None;
        self.started = false;
        self.wait = Some(Wait::Due(Instant::now() + delay));
    }

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

    /// Cancels the call. `next` then returns `None`. Never blocks. See also
    /// [`ResponseStream::canceller`].
    pub fn cancel(&mut self) {
        self.failure = None;
        self.wait = None;
        if let Some(responses) = &mut self.responses {
            responses.cancel();
        }
    }

    /// Returns the time until the next attempt; `None` if `error` is final.
    fn retry_delay(&mut self, error: &ReceiveError) -> Option<Duration> {
        match error.status() {
            Some(status) if !self.started => self.retry.delay_after(status),
            _ => None,
        }
    }

    /// Blocks until the next attempt may start, at most until `latest`. Returns false if the call was
    /// cancelled meanwhile.
    fn wait(&self, wait: &Wait, latest: Option<Instant>) -> Result<bool, Elapsed> {
        let sleeper = ThreadWaker::current();
        if let Some(canceller) = self.canceller.get() {
            canceller.set_waker(sleeper.waker.clone());
        }
        let (due, mut race) = match wait {
            Wait::Due(due) => (Some(*due), None),
            // An attempt at a deadline ends with the error of that deadline.
            Wait::Race(race) => (
                earlier(self.deadline, self.first_deadline),
                Some(race.clone()),
            ),
        };
        let until = earlier(due, latest);
        loop {
            if self.canceller.get().is_some_and(Canceller::is_cancelled) {
                return Ok(false);
            }
            let mut cx = Context::from_waker(&sleeper.waker);
            if race
                .as_mut()
                .is_some_and(|race| race.poll_unpin(&mut cx).is_ready())
            {
                return Ok(true);
            }
            if !sleeper.wait(until) {
                return match until == due {
                    true => Ok(true),
                    false => Err(Elapsed),
                };
            }
        }
    }

    /// Converts the error of the last attempt to that of the whole call.
    fn call_error(&self, error: ReceiveError) -> ReceiveError {
        match error {
            // That of an attempt after a restart.
            ReceiveError::FirstTimeout(idle) if self.own_headers.is_some() => {
                ReceiveError::IdleTimeout(idle)
            }
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

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// Asks the patched C-core to report the metadata of a call with its status; see
/// `engine/status.rs`. It takes this flag as the wish, which says nothing of a call with one request.
fn reports_metadata() -> WriteFlags {
    WriteFlags::default().buffer_hint(has_metadata())
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
        if !self.started {
            return self.next_until(None).unwrap_or(None);
        }
        match self.responses.as_mut()?.next() {
            Some(Err(error)) => Some(Err(self.call_error(error))),
            other => other,
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
