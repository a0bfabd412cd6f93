//! The sending half of a channel. It must not know its receiver.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::super::thread_waker::ThreadWaker;
use super::{Queued, SendError, Shared, TrySendError};

/// The sending half. Clones send into the same channel. Dropping the last one closes the channel:
/// the receiver gets the queued messages, then the end.
pub struct Sender<T> {
    pub(super) shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends a message if a slot is free. Never blocks.
    ///
    /// # Errors
    /// The channel is full or closed. The error returns the message.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(message));
        }
        let queued = self.shared.queued(message);
        if self.shared.slots.try_take(queued.slots as usize) {
            self.push(queued)
                .map_err(|SendError(message)| TrySendError::Closed(message))
        } else {
            Err(TrySendError::Full(queued.message))
        }
    }

    /// Sends a message if a slot is free. If none is, `waker` is woken once when the channel is
    /// down to its low-water mark (half of its capacity) or is closed. Never blocks.
    ///
    /// # Errors
    /// The channel is full or closed. The error returns the message.
    pub fn send_or_wake(&self, message: T, waker: &Waker) -> Result<(), TrySendError<T>> {
        let mut message = message;
        loop {
            message = match self.try_send(message) {
                Err(TrySendError::Full(message)) => message,
                done => return done,
            };
            if !self.has_free_slot_or_wake(waker) {
                return Err(TrySendError::Full(message));
            }
        }
    }

    /// Whether a slot is free, or the channel is closed. For a sender that makes its message only
    /// then.
    #[inline]
    pub(in crate::engine) fn has_free_slot(&self) -> bool {
        self.shared.slots.has_free_slot() || self.is_closed()
    }

    /// As [`Sender::has_free_slot`]; if no slot is free, `waker` is woken at the low-water mark or
    /// the end.
    pub(in crate::engine) fn has_free_slot_or_wake(&self, waker: &Waker) -> bool {
        // Check again: a close before the registration has not woken `waker`.
        self.shared.slots.has_free_slot_or_register(waker) || self.is_closed()
    }

    /// Sends a message that was made because a slot was free, even if none is any more. Several
    /// senders that see the same free slot exceed the capacity by one message each.
    #[inline]
    pub(in crate::engine) fn send_ignoring_capacity(&self, message: T) -> Result<(), SendError<T>> {
        let queued = self.shared.queued(message);
        self.shared.slots.take(queued.slots as usize);
        self.push(queued)
    }

    /// As [`Sender::send_ignoring_capacity`], but a message that joins others does not wake the
    /// receiver. The caller owes it a [wake-up](Sender::receiver_waker).
    #[inline]
    pub(in crate::engine) fn send_quietly(&self, message: T) -> Result<(), SendError<T>> {
        let queued = self.shared.queued(message);
        self.shared.slots.take(queued.slots as usize);
        if self.shared.queue.send(queued).map_err(SendError)? {
            self.shared.receiver.wake();
        }
        Ok(())
    }

    pub(in crate::engine) fn wake_receiver(&self) {
        self.shared.receiver.wake();
    }

    /// Wakes the receiver, from anywhere.
    pub(in crate::engine) fn receiver_waker(&self) -> Waker
    where
        T: Send + 'static,
    {
        Waker::from(self.shared.clone())
    }

    /// Whether small messages join.
    pub(in crate::engine) fn joins(&self) -> bool {
        self.shared.queue.joins()
    }

    /// Sends a message; blocks while the channel is full. Never call it on a poll thread.
    ///
    /// # Errors
    /// The receiver was dropped or the channel was closed. The error returns the message.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let mut message = match self.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(message)) => return Err(SendError(message)),
            Err(TrySendError::Full(message)) => message,
        };
        let thread_waker = ThreadWaker::current();
        loop {
            message = match self.send_or_wake(message, &thread_waker.waker) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(message)) => return Err(SendError(message)),
                Err(TrySendError::Full(message)) => message,
            };
            thread_waker.wait(None);
        }
    }

    /// Closes the channel for all senders. Queued messages can still be received, then the end. A
    /// message that another thread sends at the same moment may be lost.
    pub fn close(&self) {
        self.mark_closed();
        self.wake_both();
    }

    /// Closes the channel without a wake-up; the caller then calls [`Sender::wake_both`]. True if
    /// it was open until now.
    pub(in crate::engine) fn mark_closed(&self) -> bool {
        self.shared.close()
    }

    pub(in crate::engine) fn wake_both(&self) {
        self.shared.wake_both();
    }

    /// Sets the time at which a blocked receiver stops waiting and sees the end. Only the first
    /// call has an effect.
    pub fn set_receive_deadline(&self, latest: Instant) {
        let _ = self.shared.receive_deadline.set(latest);
        self.shared.receiver.wake();
    }

    /// True once no further message can be received.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.shared.disconnected.load(Ordering::Acquire)
            || self.shared.closed.load(Ordering::Acquire)
    }

    /// Wakes `waker` once when the channel is closed or the receiver is dropped. Check
    /// [`Sender::is_closed`] after this call, before sleeping.
    pub fn wake_on_close(&self, waker: &Waker) {
        self.shared.close_waiters.register(waker);
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
                self.shared.close_waiters.unregister(&thread_waker.waker);
                return self.is_closed();
            }
        }
    }

    /// The number of taken slots, which may change at once.
    pub(in crate::engine) fn slots_taken(&self) -> usize {
        // Messages that were queued at the disconnect never give their slots back.
        if self.shared.disconnected.load(Ordering::Relaxed) {
            0
        } else {
            self.shared.slots.taken()
        }
    }

    /// Frees the memory of joined messages if none waits. The next message allocates it again.
    pub(in crate::engine) fn free_memory(&self) {
        self.shared.queue.free_memory();
    }

    #[inline]
    fn push(&self, queued: Queued<T>) -> Result<(), SendError<T>> {
        // A failure: the receiver was dropped since the last check; its slots no longer matter.
        self.shared.queue.send(queued).map_err(SendError)?;
        self.shared.receiver.wake();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Sender {
            shared: self.shared.clone(),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 && self.shared.close() {
            self.shared.receiver.wake();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("slots_taken", &self.slots_taken())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
