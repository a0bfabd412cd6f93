//! The receiving half of a channel. It must not know who sends.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossbeam_utils::Backoff;

use super::super::panic::drop_caught;
use super::super::thread_waker::ThreadWaker;
use super::{Queued, RecvTimeoutError, Shared, TryRecvError};

/// The receiving half: a `futures::Stream` on a poll thread, an `Iterator` in a blocking caller.
/// Dropping it frees what is queued and tells the senders.
pub struct Receiver<T> {
    pub(super) queue: crossbeam_channel::Receiver<Queued<T>>,
    pub(super) shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// The next message if one is there. Never blocks.
    ///
    /// # Errors
    /// When there is no message: for now, or for ever since the channel is closed.
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
        // Messages that were sent before the close are in the queue by now: check again.
        self.pop().ok_or(TryRecvError::Closed)
    }

    /// The next message, `None` at the end; while there is none, the task of `cx` is woken by the
    /// next message or the end. Never blocks.
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

    /// The next message; blocks until there is one. `None` at the end. Never call it on a poll
    /// thread.
    pub fn recv(&self) -> Option<T> {
        self.recv_until(None).ok()
    }

    /// The next message; blocks until there is one, at most for `timeout`. Never call it on a poll
    /// thread.
    ///
    /// # Errors
    /// When no message came in time, or none will come since the channel is closed.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        // A timeout beyond what `Instant` can tell is no timeout.
        self.recv_until(Instant::now().checked_add(timeout))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        // A sleeping receiver is woken by the first message of many, and what it then costs to
        // wake and to switch threads is more than the message itself. So it first lets others run
        // for a few microseconds: on a busy machine those are the senders.
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
        let queued = self.queue.try_recv().ok()?;
        self.shared.slots.give_back(queued.slots as usize);
        Some(queued)
    }

    /// Closes the channel for all senders: queued messages can still be received, then comes the
    /// end. A message that another thread sends at the same moment may be lost.
    pub fn close(&self) {
        self.shared.close();
        self.shared.slots.wake_all();
    }

    /// Refuses all further messages, wakes the senders and forgets the receiver's own waker, as
    /// dropping it does; queued messages stay until then.
    pub(in crate::engine) fn disconnect(&self) {
        self.shared.disconnected.store(true, Ordering::SeqCst);
        self.shared.slots.wake_all();
        self.shared.disconnect_waiters.wake();
        self.shared.receiver.clear();
    }

    /// True when nothing more will be sent.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Messages waiting now: a snapshot, old when it is read.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// True when no message waits now.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.disconnect();
        // One at a time, since the `Drop` of a message may panic: two at once would abort.
        while let Ok(queued) = self.queue.try_recv() {
            drop_caught(queued);
        }
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
