//! Adapters around the producers of a call, of each kind. They know nothing of the call itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Instant;

use super::super::channel::{SendError, TrySendError};
use super::super::panic::drop_caught;
use super::super::workers::Workers;
use super::body::{Body, Produced};
use super::polled::Next;
use super::stream_sender::{Push, StreamSender};
use crate::Status;

/// Converts each message of a producer; a failure of `convert` is a failure of the producer.
pub(super) fn map<T, U>(body: Body<T>, convert: fn(&T) -> Produced<U>) -> Body<U>
where
    T: Send + 'static,
    U: Send + 'static,
{
    match body {
        Body::Pull(producer) => Body::Pull(Box::new(producer.map(move |item| convert(&item?)))),
        Body::Push(push) => Body::Push(Box::new(move |sender| {
            let inner = sender;
            push(StreamSender::new(Converting { inner, convert }))
        })),
        Body::Poll(polled) => Body::Poll(polled.map(|mut poll| {
            Box::new(move |waker| poll(waker)?.try_map(|message| convert(&message)))
        })),
    }
}

struct Converting<T, U> {
    inner: StreamSender<U>,
    convert: fn(&T) -> Produced<U>,
}

impl<T, U> Converting<T, U> {
    fn convert(&self, message: &T) -> Option<U> {
        match (self.convert)(message) {
            Ok(converted) => Some(converted),
            Err(status) => {
                self.inner.fail(status);
                None
            }
        }
    }
}

impl<T, U> Push<T> for Converting<T, U> {
    fn send(&self, message: T) -> Result<(), SendError<T>> {
        let sent = match self.convert(&message) {
            Some(converted) => self.inner.send(converted).is_ok(),
            None => false,
        };
        sent.then_some(()).ok_or(SendError(message))
    }

    fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let Some(converted) = self.convert(&message) else {
            return Err(TrySendError::Closed(message));
        };
        self.inner.try_send(converted).map_err(|error| match error {
            TrySendError::Full(_) => TrySendError::Full(message),
            TrySendError::Closed(_) => TrySendError::Closed(message),
        })
    }

    fn fail(&self, status: Status) {
        self.inner.fail(status);
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn wake_on_close(&self, waker: &Waker) {
        self.inner.target().wake_on_close(waker);
    }

    fn wait_until_closed(&self, deadline: Option<Instant>) -> bool {
        self.inner.target().wait_until_closed(deadline)
    }

    fn workers(&self) -> &Workers {
        self.inner.target().workers()
    }
}

/// Receives the failures of a call.
pub(super) type OnFailure = Arc<Mutex<dyn FnMut(Status) + Send>>;

/// Makes a producer end instead of failing.
pub(super) fn tolerate<T: Send + 'static>(body: Body<T>, on_failure: OnFailure) -> Body<T> {
    match body {
        Body::Pull(producer) => Body::Pull(Box::new(producer.map_while(move |item| match item {
            Ok(message) => Some(Ok(message)),
            Err(status) => {
                report(&on_failure, status);
                None
            }
        }))),
        Body::Push(push) => Body::Push(Box::new(move |inner| {
            let sender = StreamSender::new(Tolerant {
                inner,
                has_failed: AtomicBool::new(false),
                on_failure: Some(on_failure),
            });
            if let Err(status) = push(sender.clone()) {
                sender.fail(status);
            }
            Ok(())
        })),
        Body::Poll(polled) => Body::Poll(polled.map(|mut poll| {
            Box::new(move |waker| match poll(waker) {
                Ok(next) => Ok(next),
                Err(status) => {
                    report(&on_failure, status);
                    Ok(Next::End)
                }
            })
        })),
    }
}

fn report(on_failure: &OnFailure, status: Status) {
    let mut on_failure = on_failure.lock().unwrap_or_else(|e| e.into_inner());
    (*on_failure)(status);
}

struct Tolerant<T> {
    inner: StreamSender<T>,
    has_failed: AtomicBool,
    /// `Some` until the drop.
    on_failure: Option<OnFailure>,
}

impl<T> Push<T> for Tolerant<T> {
    fn send(&self, message: T) -> Result<(), SendError<T>> {
        match self.has_failed.load(Ordering::Acquire) {
            true => Err(SendError(message)),
            false => self.inner.send(message),
        }
    }

    fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match self.has_failed.load(Ordering::Acquire) {
            true => Err(TrySendError::Closed(message)),
            false => self.inner.try_send(message),
        }
    }

    fn fail(&self, status: Status) {
        if let (false, Some(on_failure)) = (self.is_closed(), &self.on_failure) {
            if !self.has_failed.swap(true, Ordering::AcqRel) {
                report(on_failure, status);
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire) || self.inner.is_closed()
    }

    fn wake_on_close(&self, waker: &Waker) {
        self.inner.target().wake_on_close(waker);
    }

    fn wait_until_closed(&self, deadline: Option<Instant>) -> bool {
        self.is_closed() || self.inner.target().wait_until_closed(deadline)
    }

    fn workers(&self) -> &Workers {
        self.inner.target().workers()
    }
}

impl<T> Drop for Tolerant<T> {
    /// Runs on any thread. This may be the last reference to the function, so a worker drops it.
    fn drop(&mut self) {
        if let Some(on_failure) = self.on_failure.take() {
            self.workers().submit_once(move || drop_caught(on_failure));
        }
    }
}
