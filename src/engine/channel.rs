//! The channel of one call: many senders, one receiver, bounded, on crossbeam's queue.
//!
//! crossbeam carries the messages; what this file adds is what a poll thread needs and crossbeam
//! does not have: either half can wait as a `Waker` instead of a blocked thread, senders are woken
//! at a low-water mark instead of at every message, and the bound counts a large message as more
//! than one slot. It knows nothing of gRPC, workers or calls.
//!
//! The queue itself is crossbeam's linked one, bounded by `Room`: its memory follows what is
//! queued, where the array one would allocate the whole capacity for every idle call.
//!
//! ```
//! use fanstream::engine::channel::{bounded, TrySendError};
//! use fanstream::engine::Capacity;
//!
//! let (sender, receiver) = bounded(Capacity::messages(2));
//! sender.send(1).unwrap();
//! sender.send(2).unwrap();
//! assert_eq!(sender.try_send(3), Err(TrySendError::Full(3)));
//! drop(sender); // the last one: what is queued still arrives, then comes the end
//! assert_eq!(receiver.collect::<Vec<_>>(), [1, 2]);
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossbeam_utils::Backoff;

use super::capacity::Capacity;
use super::sleeper::Sleeper;
use super::wake::{Room, WaitList};

/// A channel bounded by the number of messages in it.
pub fn bounded<T>(capacity: Capacity) -> (Sender<T>, Receiver<T>) {
    bounded_by_size(capacity, |_| 0)
}

/// A channel bounded by the number of messages in it and by their size, as `size` tells it, in
/// bytes. `size` is asked more than once for each message and must give the same answer.
pub fn bounded_by_size<T>(capacity: Capacity, size: fn(&T) -> usize) -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = crossbeam_channel::unbounded();
    let slots = capacity.messages.max(1);
    let shared = Arc::new(Shared {
        room: Room::new(slots, slots / 2),
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

/// What both halves share.
struct Shared<T> {
    room: Room,
    size: fn(&T) -> usize,
    slot_bytes: usize,
    /// Living [`Sender`]s; the last one to go closes the channel.
    senders: AtomicUsize,
    /// Nothing more will be sent. Set before the receiver is woken; never taken back.
    closed: AtomicBool,
    /// The receiver is gone. Set before the senders are woken; never taken back.
    abandoned: AtomicBool,
    /// When a blocked receiver gives up waiting, whatever its own timeout.
    ends_by: OnceLock<Instant>,
    /// The receiver, when it sleeps.
    receiver: WaitList,
    /// Senders that want to hear of `abandoned` though they do not wait for room.
    abandoning: WaitList,
}

impl<T> Shared<T> {
    #[inline]
    fn slots(&self, message: &T) -> usize {
        1 + (self.size)(message) / self.slot_bytes
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
    queue: crossbeam_channel::Sender<T>,
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends if there is room. Never blocks.
    #[inline]
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        let slots = self.shared.slots(&message);
        if self.is_closed() {
            Err(TrySendError::Closed(message))
        } else if self.shared.room.take(slots) {
            self.push(message)
        } else {
            Err(TrySendError::Full(message))
        }
    }

    /// Sends if there is room; where there is none, `waker` is woken once when the channel is
    /// down to its low-water mark (half of its capacity) or is closed. Never blocks.
    pub fn send_or_wake(&self, message: T, waker: &Waker) -> Result<(), TrySendError<T>> {
        let slots = self.shared.slots(&message);
        if self.is_closed() {
            return Err(TrySendError::Closed(message));
        }
        if self.shared.room.take_or_register(slots, waker) {
            return self.push(message);
        }
        // Whoever closed the channel between the look above and the registration woke nobody.
        if self.is_closed() {
            return Err(TrySendError::Closed(message));
        }
        Err(TrySendError::Full(message))
    }

    /// Sends; blocks while the channel is full. Never call it on a poll thread.
    ///
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

    /// Closes the channel for all senders: what is queued is still received, then comes the end.
    /// A message that another thread sends at the same moment may be lost.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.receiver.wake();
        self.shared.room.wake_all();
    }

    /// For a sender that may never come back: a receiver that blocks is told of the end when
    /// nothing more has come by then. The first call counts.
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

    /// For who wants to know how full the channel is.
    pub(super) fn fill(&self) -> Fill<T> {
        Fill(self.shared.clone())
    }

    #[inline]
    fn push(&self, message: T) -> Result<(), TrySendError<T>> {
        match self.queue.send(message) {
            Ok(()) => {
                self.shared.receiver.wake();
                Ok(())
            }
            // The receiver went since the last look; there is no room to give back any more.
            Err(crossbeam_channel::SendError(message)) => Err(TrySendError::Closed(message)),
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
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.closed.store(true, Ordering::SeqCst);
            self.shared.receiver.wake();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("slots_taken", &self.shared.room.taken())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Tells how full a channel is, and keeps nothing that is in it.
pub(super) struct Fill<T>(Arc<Shared<T>>);

impl<T> Fill<T> {
    /// Slots taken now: a snapshot, old when it is read.
    pub(super) fn slots(&self) -> usize {
        // What was in it when its receiver went is gone, and gave nothing back.
        let gone = self.0.abandoned.load(Ordering::Relaxed);
        if gone {
            0
        } else {
            self.0.room.taken()
        }
    }
}

/// The receiving half: a `futures::Stream` on a poll thread, an `Iterator` in a blocking caller.
/// Dropping it frees what is queued and tells the senders.
pub struct Receiver<T> {
    queue: crossbeam_channel::Receiver<T>,
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// The next message if one is there. Never blocks.
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        if let Some(message) = self.pop() {
            return Ok(message);
        }
        if !self.shared.closed.load(Ordering::Acquire) {
            return Err(TryRecvError::Empty);
        }
        // What was sent before the close is in the queue by now; look again.
        self.pop().ok_or(TryRecvError::Ended)
    }

    /// The next message, `None` at the end; while there is none, the task of `cx` is woken by the
    /// next message or the end. Never blocks.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match self.try_recv_or_wake(cx.waker()) {
            Ok(message) => Poll::Ready(Some(message)),
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
            match self.try_recv_or_wake(&sleeper.waker) {
                Ok(message) => return Ok(message),
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

    fn try_recv_or_wake(&self, waker: &Waker) -> Result<T, TryRecvError> {
        match self.try_recv() {
            Err(TryRecvError::Empty) => {
                self.shared.receiver.register(waker);
                self.try_recv()
            }
            found => found,
        }
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        let message = self.queue.try_recv().ok()?;
        self.shared.room.give_back(self.shared.slots(&message));
        Some(message)
    }

    /// The size of a message in bytes, as the channel was told to see it.
    #[inline]
    pub fn size(&self, message: &T) -> usize {
        (self.shared.size)(message)
    }

    /// Closes the channel for all senders: what is queued can still be received, then comes the
    /// end. A message that another thread sends at the same moment may be lost.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.shared.room.wake_all();
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
        self.shared.abandoned.store(true, Ordering::SeqCst);
        self.shared.room.wake_all();
        self.shared.abandoning.wake();
        // crossbeam frees what is queued when `queue` is dropped, right after this.
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
#[path = "channel_tests.rs"]
mod tests;
