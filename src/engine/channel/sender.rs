//! The sending half of a channel. It must not know its receiver.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::super::thread_waker::ThreadWaker;
use super::{Channel, Queued, SendError, TrySendError};

/// The sending half, for any number of threads. Dropping it closes the channel: the receiver gets the
/// queued messages, then the end.
pub(in crate::engine) struct Sender<T> {
    pub(super) channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends a message if a slot is free. Never blocks.
    ///
    /// # Errors
    /// The channel is full or closed. The error returns the message.
    pub(in crate::engine) fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(message));
        }
        let queued = self.channel.queued(message);
        if self.channel.slots.try_take(queued.slots as usize) {
            self.push(queued)
                .map_err(|SendError(message)| TrySendError::Closed(message))
        } else {
            Err(TrySendError::Full(queued.message))
        }
    }

    /// Whether a slot is free, or the channel is closed. For a sender that makes its message only
    /// then.
    #[inline]
    pub(in crate::engine) fn has_free_slot(&self) -> bool {
        self.channel.slots.has_free_slot() || self.is_closed()
    }

    /// As [`Sender::has_free_slot`]; if no slot is free, `waker` is woken once when the channel is down
    /// to its low-water mark (half of its capacity) or is closed.
    pub(in crate::engine) fn has_free_slot_or_wake(&self, waker: &Waker) -> bool {
        // Check again: a close before the registration has not woken `waker`.
        self.channel.slots.has_free_slot_or_register(waker) || self.is_closed()
    }

    /// Sends a message that was made because a slot was free, even if none is any more. Several
    /// senders that see the same free slot exceed the capacity by one message each.
    #[inline]
    pub(in crate::engine) fn send_ignoring_capacity(&self, message: T) -> Result<(), SendError<T>> {
        let queued = self.channel.queued(message);
        self.channel.slots.take(queued.slots as usize);
        self.push(queued)
    }

    /// As [`Sender::send_ignoring_capacity`], but a message that joins others does not wake the
    /// receiver. The caller owes it a [wake-up](Sender::receiver_waker).
    #[inline]
    pub(in crate::engine) fn send_quietly(&self, message: T) -> Result<(), SendError<T>> {
        let queued = self.channel.queued(message);
        self.channel.slots.take(queued.slots as usize);
        if self.channel.queue.send(queued).map_err(SendError)? {
            self.channel.receiver.wake();
        }
        Ok(())
    }

    /// Sends an empty sequence of joined messages, which carries the headers of its call. Does nothing
    /// if messages are not joined, or if one is queued, which carries them too.
    pub(in crate::engine) fn send_headers(&self) {
        if self.channel.queue.send_empty() {
            self.channel.receiver.wake();
        }
    }

    pub(in crate::engine) fn wake_receiver(&self) {
        self.channel.receiver.wake();
    }

    /// Wakes the receiver, from anywhere.
    pub(in crate::engine) fn receiver_waker(&self) -> Waker
    where
        T: Send + 'static,
    {
        Waker::from(self.channel.clone())
    }

    /// Whether small messages join.
    pub(in crate::engine) fn joins(&self) -> bool {
        self.channel.queue.joins()
    }

    /// Sends a message; blocks while the channel is full. Never call it on a poll thread.
    ///
    /// # Errors
    /// The receiver was dropped or the channel was closed. The error returns the message.
    pub(in crate::engine) fn send(&self, mut message: T) -> Result<(), SendError<T>> {
        let thread_waker = ThreadWaker::current();
        loop {
            message = match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(message)) => return Err(SendError(message)),
                Err(TrySendError::Full(message)) => message,
            };
            if !self.has_free_slot_or_wake(&thread_waker.waker) {
                thread_waker.wait(None);
            }
        }
    }

    /// Closes the channel. Queued messages can still be received, then the end. A
    /// message that another thread sends at the same moment may be lost.
    pub(in crate::engine) fn close(&self) {
        self.mark_closed();
        self.wake_both();
    }

    /// Closes the channel without a wake-up; the caller then calls [`Sender::wake_both`]. True if
    /// it was open until now.
    pub(in crate::engine) fn mark_closed(&self) -> bool {
        self.channel.close()
    }

    pub(in crate::engine) fn wake_both(&self) {
        self.channel.wake_both();
    }

    /// Sets the time at which a blocked receiver stops waiting and sees the end. Only the first
    /// call has an effect.
    pub(in crate::engine) fn set_receive_deadline(&self, latest: Instant) {
        let _ = self.channel.receive_deadline.set(latest);
        self.channel.receiver.wake();
    }

    /// True once no further message can be received.
    #[inline]
    pub(in crate::engine) fn is_closed(&self) -> bool {
        self.channel.disconnected.load(Ordering::Acquire)
            || self.channel.closed.load(Ordering::Acquire)
    }

    /// Wakes `waker` once when the channel is closed or the receiver is dropped. Check
    /// [`Sender::is_closed`] after this call, before sleeping.
    pub(in crate::engine) fn wake_on_close(&self, waker: &Waker) {
        self.channel.close_waiters.register(waker);
    }

    /// Blocks until [`Sender::is_closed`], at most until `deadline`; false if it is still open.
    pub(in crate::engine) fn wait_until_closed(&self, deadline: Option<Instant>) -> bool {
        let thread_waker = ThreadWaker::current();
        loop {
            self.wake_on_close(&thread_waker.waker);
            if self.is_closed() {
                return true;
            }
            if !thread_waker.wait(deadline) {
                self.channel.close_waiters.unregister(&thread_waker.waker);
                return self.is_closed();
            }
        }
    }

    /// The number of taken slots, which may change at once.
    pub(in crate::engine) fn slots_taken(&self) -> usize {
        // Messages that were queued at the disconnect never give their slots back.
        if self.channel.disconnected.load(Ordering::Relaxed) {
            0
        } else {
            self.channel.slots.taken()
        }
    }

    /// Frees the memory of joined messages if none waits. The next message allocates it again.
    pub(in crate::engine) fn free_memory(&self) {
        self.channel.queue.free_memory();
    }

    #[inline]
    fn push(&self, queued: Queued<T>) -> Result<(), SendError<T>> {
        // A failure: the receiver was dropped since the last check; its slots no longer matter.
        self.channel.queue.send(queued).map_err(SendError)?;
        self.channel.receiver.wake();
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.channel.close() {
            self.channel.receiver.wake();
        }
    }
}
