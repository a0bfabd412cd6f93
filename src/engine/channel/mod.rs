//! The channel of one call: many senders, one receiver, bounded, on crossbeam's queue.
//!
//! crossbeam carries the messages. This file adds what a poll thread needs and crossbeam does not
//! have: either half can wait as a `Waker` instead of a blocked thread, senders are woken at a
//! low-water mark instead of at every message, and a large message takes more than one slot. It
//! knows nothing of gRPC, workers or calls.
//!
//! The queue is crossbeam's linked one, bounded by [`Slots`]: its memory follows the number of
//! queued messages, where the array one would allocate the whole capacity for every idle call.
//!
//! ```
//! use fanstream::engine::channel::{bounded, TrySendError};
//! use fanstream::engine::Capacity;
//!
//! let (sender, receiver) = bounded(Capacity::messages(2));
//! sender.send(1).unwrap();
//! sender.send(2).unwrap();
//! assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
//! drop(sender); // the last one: queued messages still arrive, then comes the end
//! assert_eq!(receiver.collect::<Vec<_>>(), [1, 2]);
//! ```

mod capacity;
mod wake;

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossbeam_utils::Backoff;

pub use capacity::Capacity;

use super::panic::drop_caught;
use super::sleeper::Sleeper;
use super::sync;
use wake::{Slots, WaitList};

/// A channel bounded by the number of its messages.
pub fn bounded<T>(capacity: Capacity) -> (Sender<T>, Receiver<T>) {
    bounded_by_size(capacity, |_| 0)
}

/// A channel bounded by the number of its messages and by their size in bytes. `size` is called
/// once for each message, by its sender.
pub fn bounded_by_size<T>(capacity: Capacity, size: fn(&T) -> usize) -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = crossbeam_channel::unbounded();
    let slots = capacity.messages.max(1);
    let shared = Arc::new(Shared {
        slots: Slots::new(slots, slots / 2),
        size,
        slot_bytes: capacity.slot_bytes(),
        senders: AtomicUsize::new(1),
        closed: AtomicBool::new(false),
        abandoned: AtomicBool::new(false),
        ends_by: OnceLock::new(),
        receiver: WaitList::default(),
        abandoning: WaitList::default(),
    });
    let sender = Sender {
        queue: tx,
        shared: shared.clone(),
    };
    (sender, Receiver { queue: rx, shared })
}

/// A message in the queue.
pub(super) struct Queued<T> {
    pub(super) message: T,
    /// In bytes; at most 4 GiB, as gRPC has it.
    pub(super) size: u32,
    /// Kept with the message, so that it gives back as many slots as it took.
    slots: u32,
}

/// The state that both halves share.
struct Shared<T> {
    slots: Slots,
    size: fn(&T) -> usize,
    slot_bytes: usize,
    /// Living [`Sender`]s; the last one to go closes the channel.
    senders: AtomicUsize,
    /// Nothing more will be sent. Set before the receiver is woken; never reset.
    closed: AtomicBool,
    /// The receiver is gone. Set before the senders are woken; never reset.
    abandoned: AtomicBool,
    /// When a blocked receiver stops waiting, whatever its own timeout.
    ends_by: OnceLock<Instant>,
    /// The receiver, when it sleeps.
    receiver: WaitList,
    /// Senders to be woken when the receiver is dropped, though they do not wait for room.
    abandoning: WaitList,
}

impl<T> Shared<T> {
    #[inline]
    fn queued(&self, message: T) -> Queued<T> {
        let size = (self.size)(&message);
        let slots = 1 + size / self.slot_bytes;
        Queued {
            message,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
        }
    }

    /// True when it was open until now. The caller wakes both halves.
    fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::SeqCst)
    }

    fn wake_both(&self) {
        self.receiver.wake();
        self.slots.wake_all();
    }
}

/// Why a message could not be sent. It comes back to the sender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// No room at the moment.
    Full(T),
    /// The receiver is gone, or the channel was closed: no message will ever be taken again.
    Closed(T),
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Closed(_) => "Closed(..)",
        })
    }
}

/// The receiver is gone, or the channel was closed. The message comes back to the sender.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

/// Why there was no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// None at the moment.
    Empty,
    /// None any more: the channel is closed and everything in it was taken.
    Ended,
}

/// Why [`Receiver::recv_timeout`] came back without a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// None came in time.
    Timeout,
    /// None will come: the channel is closed and everything in it was taken.
    Ended,
}

/// The sending half. Clones send into the same channel; when the last one is dropped the channel
/// is closed: the receiver gets what is queued, then the end.
pub struct Sender<T> {
    queue: crossbeam_channel::Sender<Queued<T>>,
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends if there is room. Never blocks.
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

    /// Sends if there is room. Without room, `waker` is woken once when the channel is down to its
    /// low-water mark (half of its capacity) or is closed. Never blocks.
    pub fn send_or_wake(&self, message: T, waker: &Waker) -> Result<(), TrySendError<T>> {
        let mut message = message;
        loop {
            message = match self.try_send(message) {
                Err(TrySendError::Full(message)) => message,
                done => return done,
            };
            if !self.has_room_or_wake(waker) {
                return Err(TrySendError::Full(message));
            }
        }
    }

    /// Whether a message would find room, or the channel is closed. For a sender that makes its
    /// message only then.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.shared.slots.has_room() || self.is_closed()
    }

    /// As [`Sender::has_room`]; without room, `waker` is woken at the low-water mark or the end.
    pub(super) fn has_room_or_wake(&self, waker: &Waker) -> bool {
        // A close between the first check and the registration has woken nobody.
        self.shared.slots.has_room_or_register(waker) || self.is_closed()
    }

    /// Sends, whether there is room or not: for a message that was made because there was. Several
    /// senders that see the same free slot exceed the capacity by one message each.
    #[inline]
    pub(super) fn send_made(&self, message: T) -> Result<(), SendError<T>> {
        let queued = self.shared.queued(message);
        self.shared.slots.take(queued.slots as usize);
        self.push(queued)
    }

    /// Sends; blocks while the channel is full. Never call it on a poll thread.
    ///
    /// # Errors
    /// Ends early, with the message, when the receiver is dropped or the channel is closed.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let mut message = match self.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(message)) => return Err(SendError(message)),
            Err(TrySendError::Full(message)) => message,
        };
        let sleeper = Sleeper::current();
        loop {
            message = match self.send_or_wake(message, &sleeper.waker) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(message)) => return Err(SendError(message)),
                Err(TrySendError::Full(message)) => message,
            };
            sleeper.sleep(None);
        }
    }

    /// Closes the channel for all senders: queued messages are still received, then comes the end.
    /// A message that another thread sends at the same moment may be lost.
    pub fn close(&self) {
        self.mark_closed();
        self.wake_both();
    }

    /// Closes the channel and wakes nobody: [`Sender::wake_both`] is still to be called. True when
    /// it was open until now.
    pub(super) fn mark_closed(&self) -> bool {
        self.shared.close()
    }

    pub(super) fn wake_both(&self) {
        self.shared.wake_both();
    }

    /// Bounds how long a blocked receiver still waits: after `latest` it sees the end. The first
    /// call counts.
    pub fn end_by(&self, latest: Instant) {
        let _ = self.shared.ends_by.set(latest);
        self.shared.receiver.wake();
    }

    /// True when nothing sent from now on can be received.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.shared.abandoned.load(Ordering::Acquire) || self.shared.closed.load(Ordering::Acquire)
    }

    /// Asks that `waker` be woken once when the receiver is dropped. Look at
    /// [`Sender::is_closed`] after this call, before sleeping.
    pub fn wake_when_abandoned(&self, waker: &Waker) {
        self.shared.abandoning.register(waker);
    }

    /// Slots taken now: a snapshot, old when it is read.
    pub(super) fn slots_taken(&self) -> usize {
        // Messages that were queued when the receiver went have given nothing back.
        if self.shared.abandoned.load(Ordering::Relaxed) {
            0
        } else {
            self.shared.slots.taken()
        }
    }

    #[inline]
    fn push(&self, queued: Queued<T>) -> Result<(), SendError<T>> {
        match self.queue.send(queued) {
            Ok(()) => {
                self.shared.receiver.wake();
                Ok(())
            }
            // The receiver went since the last check; its slots no longer matter.
            Err(crossbeam_channel::SendError(queued)) => Err(SendError(queued.message)),
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Sender<T> {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Sender {
            queue: self.queue.clone(),
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

/// The receiving half: a `futures::Stream` on a poll thread, an `Iterator` in a blocking caller.
/// Dropping it frees what is queued and tells the senders.
pub struct Receiver<T> {
    queue: crossbeam_channel::Receiver<Queued<T>>,
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// The next message if one is there. Never blocks.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.try_next().map(|queued| queued.message)
    }

    /// As [`Receiver::try_recv`], with the size.
    #[inline]
    pub(super) fn try_next(&self) -> Result<Queued<T>, TryRecvError> {
        if let Some(queued) = self.pop() {
            return Ok(queued);
        }
        if !self.is_closed() {
            return Err(TryRecvError::Empty);
        }
        // Messages that were sent before the close are in the queue by now: check again.
        self.pop().ok_or(TryRecvError::Ended)
    }

    /// The next message, `None` at the end; while there is none, the task of `cx` is woken by the
    /// next message or the end. Never blocks.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_queued(cx)
            .map(|next| next.map(|queued| queued.message))
    }

    /// As [`Receiver::poll_recv`], with the size.
    pub(super) fn poll_queued(&self, cx: &mut Context<'_>) -> Poll<Option<Queued<T>>> {
        match self.try_next_or_wake(cx.waker()) {
            Ok(queued) => Poll::Ready(Some(queued)),
            Err(TryRecvError::Ended) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }

    /// The next message; blocks until there is one. `None` at the end. Never call it on a poll
    /// thread.
    pub fn recv(&self) -> Option<T> {
        self.recv_until(None).ok()
    }

    /// The next message; blocks until there is one, at most for `timeout`.
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
                Err(TryRecvError::Ended) => return Err(RecvTimeoutError::Ended),
                Err(TryRecvError::Empty) if backoff.is_completed() => break,
                Err(TryRecvError::Empty) => backoff.snooze(),
            }
        }
        let sleeper = Sleeper::current();
        loop {
            match self.try_next_or_wake(&sleeper.waker) {
                Ok(queued) => return Ok(queued.message),
                Err(TryRecvError::Ended) => return Err(RecvTimeoutError::Ended),
                Err(TryRecvError::Empty) => {}
            }
            let ends_by = self.shared.ends_by.get().copied();
            if !sleeper.sleep(deadline.into_iter().chain(ends_by).min()) {
                let ended = ends_by.is_some_and(|latest| latest <= Instant::now());
                return Err(if ended {
                    RecvTimeoutError::Ended
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
    pub(super) fn abandon(&self) {
        self.shared.abandoned.store(true, Ordering::SeqCst);
        self.shared.slots.wake_all();
        self.shared.abandoning.wake();
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
        self.abandon();
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

#[cfg(test)]
mod tests;
