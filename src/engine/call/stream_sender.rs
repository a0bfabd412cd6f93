//! The sender of a push job, whose function sends its messages into the call's channel. It knows
//! nothing of the call.
//!
//! The function runs on a worker. The job ends when the function has returned and the last clone of
//! its sender is dropped. Until then it counts as a started job. The call's permit is kept only while
//! the function runs.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use grpcio::RpcStatus;

use super::super::channel::{SendError, TrySendError};
use super::super::sync::lock;
use super::super::workers::Workers;
use crate::Status;

/// The function of a push job.
pub(super) type PushFn<T> = Box<dyn FnOnce(StreamSender<T>) -> Result<(), Status> + Send>;

/// Sends the messages of a [push job](crate::engine::Job::push). Clones send for the same job.
///
/// A sender may be moved to other threads and into callbacks. The job ends when its function has
/// returned and the last clone is dropped. A leaked clone keeps the call open until its client
/// goes. Dropping a sender never blocks and runs no user code.
///
/// A sender that waits for something else than its reader, such as the next event of a topic, does
/// not notice that its client has gone: let [`StreamSender::on_close`] or
/// [`StreamSender::wait_until_closed`] tell.
///
/// Messages of one thread keep their order; messages of several threads interleave as sent.
pub struct StreamSender<T>(Arc<dyn Push<T>>);

impl<T> StreamSender<T> {
    /// Sends a message; blocks while the call's channel is full, which is the backpressure of a
    /// slow reader. It wakes up when the channel is half empty, or at once when the call is over or
    /// has failed.
    ///
    /// If the blocked thread is one of the [`Workers`](crate::engine::Workers), their number grows
    /// up to its limit. Never call it on a poll thread of grpcio, such as in an observer: use
    /// [`StreamSender::try_send`] there.
    ///
    /// # Errors
    /// The call is over or has failed and takes no more messages. The error returns the message. It
    /// converts into a status, so `sender.send(message)?` ends the function of the job. That status
    /// reaches nobody: the call has ended with its own.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.0.send(message)
    }

    /// Sends a message if the channel has a free slot. Never blocks.
    ///
    /// # Errors
    /// The channel is full, or takes no more messages. The error returns the message.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.0.try_send(message)
    }

    /// Ends the call with `status`, after the messages that were sent before. Other producers of
    /// the call are not called again. Without effect if the call has failed before or is over. An
    /// OK status becomes INTERNAL: a failure cannot be OK. Never blocks.
    pub fn fail(&self, status: impl Into<Status>) {
        self.0.fail(status.into());
    }

    /// True once the call takes no more messages. A sender that waits for something else should
    /// check it and stop.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Runs `callback` once, on a worker, when the call takes no more messages: its client has left,
    /// its deadline has passed, or it has failed. At once if so already. Use it to remove the sender
    /// from a list of subscribers. Never blocks; `callback` may.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use fanstream::engine::{Job, StreamSender};
    ///
    /// #[derive(Default)]
    /// struct Topic(Mutex<Vec<(u64, StreamSender<String>)>>);
    ///
    /// fn subscribe(topic: Arc<Topic>, number: u64) -> Job<String> {
    ///     Job::push(move |sender| {
    ///         topic.0.lock().unwrap().push((number, sender.clone()));
    ///         // Behind it, since the client may be gone already.
    ///         sender.on_close(move || topic.0.lock().unwrap().retain(|(n, _)| *n != number));
    ///         Ok(())
    ///     })
    /// }
    /// # drop(subscribe(Arc::default(), 1));
    /// ```
    pub fn on_close(&self, callback: impl FnOnce() + Send + 'static) {
        let on_close = Arc::new(OnClose {
            workers: self.0.workers().clone(),
            callback: Mutex::new(Some(Box::new(callback))),
        });
        self.0.wake_on_close(&Waker::from(on_close.clone()));
        if self.is_closed() {
            on_close.wake();
        }
    }

    /// Blocks until the call takes no more messages, at most for `timeout`; false if it still does.
    /// Never call it on a poll thread.
    pub fn wait_until_closed(&self, timeout: Duration) -> bool {
        // A timeout that `Instant` cannot represent is none.
        self.0
            .wait_until_closed(Instant::now().checked_add(timeout))
    }

    /// Returns a sender for the same job that does not keep it open: see [`WeakStreamSender`].
    pub fn downgrade(&self) -> WeakStreamSender<T> {
        WeakStreamSender(Arc::downgrade(&self.0))
    }

    pub(super) fn new(push: impl Push<T> + 'static) -> StreamSender<T> {
        StreamSender(Arc::new(push))
    }

    /// The target, for an adapter.
    pub(super) fn target(&self) -> &dyn Push<T> {
        &*self.0
    }
}

/// A [`StreamSender`] that does not keep its job open, as [`std::sync::Weak`] does not keep its value.
/// For lists of subscribers: one that is forgotten there holds neither its call nor the call's
/// memory. Somebody else, such as the session of a user, holds a [`StreamSender`] for as long as the
/// stream shall last.
///
/// ```
/// use fanstream::engine::WeakStreamSender;
///
/// /// Sends to all subscribers. Forgets those that have left or are too slow.
/// fn publish(subscribers: &mut Vec<WeakStreamSender<String>>, text: &str) {
///     subscribers.retain(|subscriber| match subscriber.upgrade() {
///         Some(subscriber) => subscriber.try_send(text.to_string()).is_ok(),
///         None => false,
///     });
/// }
/// # publish(&mut Vec::new(), "news");
/// ```
pub struct WeakStreamSender<T>(Weak<dyn Push<T>>);

impl<T> WeakStreamSender<T> {
    /// Returns a sender for the job; `None` once its function has returned and all its
    /// [`StreamSender`]s are dropped. A call that has ended otherwise is not noticed here, but by
    /// [`StreamSender::is_closed`] and by sending. The job stays open until the result is dropped.
    pub fn upgrade(&self) -> Option<StreamSender<T>> {
        self.0.upgrade().map(StreamSender)
    }
}

impl<T> Clone for WeakStreamSender<T> {
    fn clone(&self) -> WeakStreamSender<T> {
        WeakStreamSender(self.0.clone())
    }
}

impl<T> fmt::Debug for WeakStreamSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakStreamSender(..)")
    }
}

impl<T> From<SendError<T>> for Status {
    /// CANCELLED: the client is gone.
    fn from(error: SendError<T>) -> Status {
        Status::cancelled(error.to_string())
    }
}

impl<T> From<SendError<T>> for RpcStatus {
    /// CANCELLED: the client is gone.
    fn from(error: SendError<T>) -> RpcStatus {
        Status::from(error).into()
    }
}

/// A callback that waits for the end of its call.
struct OnClose {
    workers: Workers,
    callback: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Wake for OnClose {
    fn wake(self: Arc<Self>) {
        let callback = lock(&self.callback).take();
        if let Some(callback) = callback {
            self.workers.submit_once(callback);
        }
    }
}

impl<T> Clone for StreamSender<T> {
    fn clone(&self) -> StreamSender<T> {
        StreamSender(self.0.clone())
    }
}

impl<T> fmt::Debug for StreamSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSender")
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// The target of a [`StreamSender`]: the call, or an adapter before it. Dropping one must neither
/// block nor run user code.
pub(super) trait Push<T>: Send + Sync {
    fn send(&self, message: T) -> Result<(), SendError<T>>;
    fn try_send(&self, message: T) -> Result<(), TrySendError<T>>;
    fn fail(&self, status: Status);
    fn is_closed(&self) -> bool;
    fn wake_on_close(&self, waker: &Waker);
    fn wait_until_closed(&self, deadline: Option<Instant>) -> bool;
    fn workers(&self) -> &Workers;
}
