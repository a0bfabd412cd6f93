//! The receiving half of a channel. It must not know its senders.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crossbeam_utils::Backoff;

use super::super::panic::drop_caught;
use super::super::thread_waker::ThreadWaker;
use super::{Queued, RecvTimeoutError, Shared, TryRecvError};

/// The receiving half: a `futures::Stream` on a poll thread, an `Iterator` in a blocking caller.
/// Dropping it frees the queued messages and wakes the senders, whose sends then fail.
pub struct Receiver<T> {
    pub(super) shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// Takes the next message if the channel has one. Never blocks.
    ///
    /// # Errors
    /// The channel is empty, or closed and empty.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.try_next().map(|queued| queued.message)
    }

    /// As [`Receiver::try_recv`], with the size.
    #[inline]
    pub(in crate::engine) fn try_next(&self) -> Result<Queued<T>, TryRecvError> {
        if let Some(queued) = self.pop() {
            return Ok(queued);
        }
        if !self.is_closed() {
            return Err(TryRecvError::Empty);
        }
        // Messages sent before the close are in the queue by now: check again.
        self.pop().ok_or(TryRecvError::Closed)
    }

    /// Takes the next message; `None` at the end. If the channel is empty, the next message or the
    /// end wakes the task of `cx`. Never blocks.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_queued(cx)
            .map(|next| next.map(|queued| queued.message))
    }

    /// As [`Receiver::poll_recv`], with the size.
    pub(in crate::engine) fn poll_queued(&self, cx: &mut Context<'_>) -> Poll<Option<Queued<T>>> {
        match self.try_next_or_wake(cx.waker()) {
            Ok(queued) => Poll::Ready(Some(queued)),
            Err(TryRecvError::Closed) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }

    /// Takes the next message; blocks while the channel is empty. `None` at the end. Never call it
    /// on a poll thread.
    pub fn recv(&self) -> Option<T> {
        self.recv_until(None).ok()
    }

    /// Takes the next message; blocks while the channel is empty, at most for `timeout`. Never call
    /// it on a poll thread.
    ///
    /// # Errors
    /// No message arrived in time, or the channel is closed and empty.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        // A timeout that `Instant` cannot represent is none.
        self.recv_until(Instant::now().checked_add(timeout))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        // The first of many messages wakes a sleeping receiver, and the wake-up costs more than the
        // message. So the receiver first yields for a few microseconds: on a busy machine the
        // senders run then.
        let backoff = Backoff::new();
        loop {
            match self.try_recv() {
                Ok(message) => return Ok(message),
                Err(TryRecvError::Closed) => return Err(RecvTimeoutError::Closed),
                Err(TryRecvError::Empty) if backoff.is_completed() => break,
                Err(TryRecvError::Empty) => backoff.snooze(),
            }
        }
        let thread_waker = ThreadWaker::current();
        loop {
            match self.try_next_or_wake(&thread_waker.waker) {
                Ok(queued) => return Ok(queued.message),
                Err(TryRecvError::Closed) => return Err(RecvTimeoutError::Closed),
                Err(TryRecvError::Empty) => {}
            }
            let receive_deadline = self.shared.receive_deadline.get().copied();
            if !thread_waker.wait(deadline.into_iter().chain(receive_deadline).min()) {
                self.shared.receiver.unregister(&thread_waker.waker);
                let ended = receive_deadline.is_some_and(|latest| latest <= Instant::now());
                return Err(if ended {
                    RecvTimeoutError::Closed
                } else {
                    RecvTimeoutError::Timeout
                });
            }
        }
    }

    fn try_next_or_wake(&self, waker: &Waker) -> Result<Queued<T>, TryRecvError> {
        match self.try_next() {
            Err(TryRecvError::Empty) => {
                self.shared.receiver.register(waker);
                self.try_next()
            }
            found => found,
        }
    }

    #[inline]
    fn pop(&self) -> Option<Queued<T>> {
        let queued = self.shared.queue.pop()?;
        self.shared.slots.give_back(queued.slots as usize);
        Some(queued)
    }

    /// Closes the channel for all senders. Queued messages can still be received, then the end. A
    /// message that another thread sends at the same moment may be lost.
    pub fn close(&self) {
        self.shared.close();
        self.shared.wake_senders();
    }

    /// A waker that closes the channel, as [`Receiver::close`] does, and wakes a blocked receiver.
    pub(in crate::engine) fn closer(&self) -> Waker
    where
        T: Send + 'static,
    {
        Waker::from(Arc::new(Closer(self.shared.clone())))
    }

    /// Refuses all further messages, wakes the senders and drops the receiver's own waker, as
    /// dropping it does. Queued messages stay until the drop.
    pub(in crate::engine) fn disconnect(&self) {
        self.shared.disconnected.store(true, Ordering::SeqCst);
        self.shared.wake_senders();
        self.shared.receiver.clear();
    }

    /// As [`Sender::free_memory`](super::Sender::free_memory).
    pub(in crate::engine) fn free_memory(&self) {
        self.shared.queue.free_memory();
    }

    /// What [`Receiver::try_recv`] would find.
    pub(in crate::engine) fn peek(&self) -> Result<(), TryRecvError> {
        if !self.is_empty() {
            return Ok(());
        }
        if !self.is_closed() {
            return Err(TryRecvError::Empty);
        }
        // As there: check again.
        match self.is_empty() {
            true => Err(TryRecvError::Closed),
            false => Ok(()),
        }
    }

    /// True once no more messages will be sent.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// The number of queued messages, which may change at once.
    pub fn len(&self) -> usize {
        self.shared.queue.len()
    }

    /// True if no message is queued.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.disconnect();
        self.shared.queue.close();
        // One by one, since the `Drop` of a message may panic: two panics in one drop would abort.
        while let Some(queued) = self.shared.queue.pop() {
            drop_caught(queued);
        }
    }
}

/// Closes a channel when it is woken.
struct Closer<T>(Arc<Shared<T>>);

impl<T: Send + 'static> Wake for Closer<T> {
    fn wake(self: Arc<Self>) {
        self.0.close();
        self.0.wake_both();
    }
}

impl<T> futures::Stream for Receiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_recv(cx)
    }
}

impl<T> Iterator for Receiver<T> {
    type Item = T;

    /// Blocks as [`Receiver::recv`] does.
    fn next(&mut self) -> Option<T> {
        self.recv()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("messages", &self.len())
            .finish_non_exhaustive()
    }
}
