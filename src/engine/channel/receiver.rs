//! The receiving half of a channel. It must not know its senders.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crossbeam_utils::Backoff;

use super::super::panic::drop_caught;
use super::super::thread_waker::ThreadWaker;
use super::{Channel, Queued, RecvError};

/// The receiving half. Dropping it frees the queued messages and wakes the senders, whose sends then
/// fail.
pub(in crate::engine) struct Receiver<T> {
    pub(super) channel: Arc<Channel<T>>,
}

impl<T> Receiver<T> {
    /// Takes the next message if the channel has one. Never blocks.
    #[inline]
    pub(in crate::engine) fn try_recv(&self) -> Result<Queued<T>, RecvError> {
        if let Some(queued) = self.pop() {
            return Ok(queued);
        }
        if !self.is_closed() {
            return Err(RecvError::Empty);
        }
        // Messages sent before the close are in the queue by now: check again.
        self.pop().ok_or(RecvError::Closed)
    }

    /// Takes the next message; `None` at the end. If the channel is empty, the next message or the
    /// end wakes the task of `cx`. Never blocks.
    pub(in crate::engine) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Queued<T>>> {
        match self.try_recv_or_wake(cx.waker()) {
            Ok(queued) => Poll::Ready(Some(queued)),
            Err(RecvError::Closed) => Poll::Ready(None),
            Err(RecvError::Empty) => Poll::Pending,
        }
    }

    /// Takes the next message; blocks while the channel is empty, at most for `timeout`. Never call
    /// it on a poll thread.
    pub(in crate::engine) fn recv(&self, timeout: Option<Duration>) -> Result<T, RecvError> {
        // A timeout that `Instant` cannot represent is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        // The first of many messages wakes a sleeping receiver, and the wake-up costs more than the
        // message. So the receiver first yields for a few microseconds: on a busy machine the
        // senders run then.
        let backoff = Backoff::new();
        loop {
            match self.try_recv() {
                Ok(queued) => return Ok(queued.message),
                Err(RecvError::Closed) => return Err(RecvError::Closed),
                Err(RecvError::Empty) if backoff.is_completed() => break,
                Err(RecvError::Empty) => backoff.snooze(),
            }
        }
        let thread_waker = ThreadWaker::current();
        loop {
            match self.try_recv_or_wake(&thread_waker.waker) {
                Ok(queued) => return Ok(queued.message),
                Err(RecvError::Closed) => return Err(RecvError::Closed),
                Err(RecvError::Empty) => {}
            }
            let latest = self.channel.receive_deadline.get().copied();
            if !thread_waker.wait(deadline.into_iter().chain(latest).min()) {
                self.channel.receiver.unregister(&thread_waker.waker);
                return Err(match latest {
                    Some(latest) if latest <= Instant::now() => RecvError::Closed,
                    _ => RecvError::Empty,
                });
            }
        }
    }

    fn try_recv_or_wake(&self, waker: &Waker) -> Result<Queued<T>, RecvError> {
        match self.try_recv() {
            Err(RecvError::Empty) => {
                self.channel.receiver.register(waker);
                self.try_recv()
            }
            found => found,
        }
    }

    #[inline]
    fn pop(&self) -> Option<Queued<T>> {
        let queued = self.channel.queue.pop()?;
        self.channel.slots.give_back(queued.slots as usize);
        Some(queued)
    }

    /// A waker that closes the channel and wakes both halves. Queued messages can still be received,
    /// then the end.
    pub(in crate::engine) fn closer(&self) -> Waker
    where
        T: Send + 'static,
    {
        Waker::from(Arc::new(Closer(self.channel.clone())))
    }

    /// Refuses all further messages, wakes the senders and drops the receiver's own waker, as
    /// dropping it does. Queued messages stay until the drop.
    pub(in crate::engine) fn disconnect(&self) {
        self.channel.disconnected.store(true, Ordering::SeqCst);
        self.channel.wake_senders();
        self.channel.receiver.clear();
    }

    /// As [`Sender::free_memory`](super::Sender::free_memory).
    pub(in crate::engine) fn free_memory(&self) {
        self.channel.queue.free_memory();
    }

    /// What [`Receiver::try_recv`] would find.
    pub(in crate::engine) fn peek(&self) -> Result<(), RecvError> {
        if !self.is_empty() {
            return Ok(());
        }
        if !self.is_closed() {
            return Err(RecvError::Empty);
        }
        // As there: check again.
        match self.is_empty() {
            true => Err(RecvError::Closed),
            false => Ok(()),
        }
    }

    /// True once no more messages will be sent.
    pub(in crate::engine) fn is_closed(&self) -> bool {
        self.channel.closed.load(Ordering::Acquire)
    }

    /// The number of queued messages, which may change at once.
    pub(in crate::engine) fn len(&self) -> usize {
        self.channel.queue.len()
    }

    /// True if no message is queued.
    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.disconnect();
        self.channel.queue.close();
        // One by one, since the `Drop` of a message may panic: two panics in one drop would abort.
        while let Some(queued) = self.channel.queue.pop() {
            drop_caught(queued);
        }
    }
}

/// Closes a channel when it is woken.
struct Closer<T>(Arc<Channel<T>>);

impl<T: Send + 'static> Wake for Closer<T> {
    fn wake(self: Arc<Self>) {
        self.0.close();
        self.0.wake_both();
    }
}
