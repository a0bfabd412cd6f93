//! Adapters around the producers of a call, pull and push alike. They know nothing of the call itself.

use grpcio::RpcStatus;

use super::super::channel::{SendError, TrySendError};
use super::job::{Body, Produced};
use super::push::{Push, StreamSender};

/// The same producer with each message made another one by `convert`, whose failure is the producer's.
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

    fn fail(&self, status: RpcStatus) {
        self.inner.fail(status);
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}
