//! Push jobs: a function sends its messages into the call's channel. It knows nothing of sinks.
//!
//! The function runs on a worker. The job ends when the function has returned and the last clone of
//! its sender is dropped. Until then it counts as a started producer and keeps the call's permit,
//! but no memory of the C-core.

use std::fmt;
use std::sync::{Arc, Mutex};

use grpcio::RpcStatus;

use super::super::channel::{SendError, TrySendError};
use super::super::panic::drop_caught;
use super::super::workers::Task;
use super::Call;

/// The function of a push job.
pub(super) type PushFn<T> = Box<dyn FnOnce(StreamSender<T>) -> Result<(), RpcStatus> + Send>;

/// Sends the messages of a [push job](super::Job::push). Clones send for the same job.
///
/// A sender may be moved to other threads and into callbacks. The job ends when its function has
/// returned and the last clone is dropped. A leaked clone keeps the call open until its client
/// goes, and keeps counting against the server's maximum number of streams after that. Dropping a
/// sender never blocks and runs no user code.
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
    /// The call is over or has failed and takes no more messages. The error returns the message.
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
    pub fn fail(&self, status: RpcStatus) {
        self.0.fail(status);
    }

    /// True once the call takes no more messages. A sender that waits for something else should
    /// check it and stop.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    pub(super) fn new(push: impl Push<T> + 'static) -> StreamSender<T> {
        StreamSender(Arc::new(push))
    }

    /// Defers the drop of `value`, which is user code, to a worker.
    pub(super) fn drop_on_worker(&self, value: Box<dyn Send>) {
        self.0.drop_on_worker(value);
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
    fn fail(&self, status: RpcStatus);
    fn is_closed(&self) -> bool;
    fn drop_on_worker(&self, value: Box<dyn Send>);
}

/// Sends into the call itself. Counted in `State::pushing`.
pub(super) struct CallSender<T: Send + 'static> {
    call: Arc<Call<T>>,
    /// The job's number in an ordered call; the job is first.
    number: Option<u64>,
}

impl<T: Send + 'static> Call<T> {
    /// Runs the function of a push job. The caller counts as active.
    pub(super) fn push(
        self: &Arc<Self>,
        push: PushFn<T>,
        number: Option<u64>,
    ) -> Result<(), RpcStatus> {
        let mut state = self.lock();
        // The sender replaces the worker in the count, also after the function returns.
        state.active -= 1;
        state.pushing += 1;
        drop(state);
        let sender = StreamSender::new(CallSender {
            call: self.clone(),
            number,
        });
        // The clone keeps the job from ending before the function.
        let result = super::run::run_user_code("a push job", || push(sender.clone()));
        self.lock().active += 1;
        drop(sender);
        result
    }
}

impl<T: Send + 'static> Push<T> for CallSender<T> {
    fn send(&self, message: T) -> Result<(), SendError<T>> {
        match self.call.sender.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(message)) => Err(SendError(message)),
            Err(TrySendError::Full(message)) => {
                let state = self.call.lock();
                self.call.counters.stalled(state.parked.len());
                drop(state);
                self.call.sender.send(message)
            }
        }
    }

    fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.call.sender.try_send(message)
    }

    fn fail(&self, status: RpcStatus) {
        self.call.fail(status);
        // A worker can drop the call's other user code before the reader is done.
        self.call.settle(&mut self.call.lock());
    }

    fn is_closed(&self) -> bool {
        self.call.sender.is_closed()
    }

    fn drop_on_worker(&self, value: Box<dyn Send>) {
        let deferred = DeferredDrop(Mutex::new(Some(value)));
        self.call.workers.submit(Arc::new(deferred));
    }
}

impl<T: Send + 'static> Drop for CallSender<T> {
    fn drop(&mut self) {
        let mut state = self.call.lock();
        state.pushing -= 1;
        let end = |number| self.call.end_ordered(&mut state, number, None);
        let is_closed = self.number.is_some_and(end);
        self.call.conclude(state, is_closed);
    }
}

/// User code for a worker to drop.
struct DeferredDrop(Mutex<Option<Box<dyn Send>>>);

impl Task for DeferredDrop {
    fn run(self: Arc<Self>) {
        let value = self.0.lock().unwrap_or_else(|e| e.into_inner()).take();
        drop_caught(value);
    }
}
