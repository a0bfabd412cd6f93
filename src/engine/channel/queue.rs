//! The messages of a channel: crossbeam's list, and behind it a tail of small messages, joined to one
//! sequence of bytes. In the list each message costs an allocation and a handover; in the tail a
//! copy. It knows nothing of slots or wakers.
//!
//! All messages keep their order. Senders change both under one lock: the tail moves to the list
//! before a message that does not fit. The receiver takes messages of the list without the lock. It
//! takes the tail under the lock, if the list is empty then.
//!
//! The list, 3 KB, is made for the first message that needs it, and the tail's memory is freed while
//! the call waits: an open call that mostly waits has neither.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use crossbeam_channel::{unbounded, Receiver, Sender};

use super::super::sync::lock;
use super::Queued;

/// How messages of a type are joined.
pub(in crate::engine) struct Joining<T> {
    /// Whether a message of this size joins a sequence of so many bytes.
    pub(in crate::engine) fits: fn(usize, u32) -> bool,
    /// Adds a message to a sequence.
    pub(in crate::engine) append: fn(T, &mut Vec<u8>),
    /// Makes one message of a sequence with this number of messages.
    pub(in crate::engine) wrap: fn(&[u8], u32) -> T,
}

impl<T> Clone for Joining<T> {
    fn clone(&self) -> Joining<T> {
        *self
    }
}

impl<T> Copy for Joining<T> {}

/// Both halves of crossbeam's list.
type List<T> = (Sender<T>, Receiver<T>);

/// The first allocation of a sequence: five messages of the tutorial.
const FIRST_BYTES: usize = 160;

pub(super) struct Queue<T> {
    /// `None` if each message stays alone; then there is no tail.
    joining: Option<Joining<T>>,
    list: OnceLock<List<Queued<T>>>,
    /// The number of messages in the tail. It changes under the lock.
    joined: AtomicU32,
    tail: Mutex<Tail>,
}

/// Joined messages, and the sums of their sizes and slots.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    count: u32,
    size: u32,
    slots: u32,
    /// The receiver was dropped.
    closed: bool,
}

thread_local! {
    /// Takes the place of a sequence, so that a sender waits only for the exchange.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl<T> Queue<T> {
    pub(super) fn new(joining: Option<Joining<T>>) -> Queue<T> {
        Queue {
            joining,
            list: OnceLock::new(),
            joined: AtomicU32::new(0),
            tail: Mutex::default(),
        }
    }

    /// Adds a message. True if the list has grown, not only the tail. Returns the message if the
    /// receiver was dropped.
    #[inline]
    pub(super) fn send(&self, queued: Queued<T>) -> Result<bool, T> {
        let mut tail = lock(&self.tail);
        if tail.closed {
            return Err(queued.message);
        }
        let joining = self.joining.filter(|j| (j.fits)(0, queued.size));
        let fits = joining.is_some_and(|j| (j.fits)(tail.bytes.len(), queued.size));
        let has_moved = !fits && tail.count > 0;
        if let (true, Some(joining)) = (has_moved, self.joining) {
            let bytes = std::mem::take(&mut tail.bytes);
            self.push(tail.take(|count| (joining.wrap)(&bytes, count)));
            tail.bytes = bytes;
            tail.bytes.clear();
            self.joined.store(0, Ordering::Release);
        }
        let Some(joining) = joining else {
            self.push(queued);
            return Ok(true);
        };
        if tail.bytes.capacity() == 0 {
            tail.bytes.reserve(FIRST_BYTES);
        }
        tail.count += 1;
        tail.size += queued.size;
        tail.slots += queued.slots;
        self.joined.store(tail.count, Ordering::Relaxed);
        (joining.append)(queued.message, &mut tail.bytes);
        Ok(has_moved)
    }

    /// Adds a sequence of no messages to an empty queue. False if messages are not joined, the queue
    /// is not empty, or the receiver was dropped.
    pub(super) fn send_empty(&self) -> bool {
        let Some(joining) = self.joining else {
            return false;
        };
        let tail = lock(&self.tail);
        if tail.closed || self.len() > 0 {
            return false;
        }
        self.push(Queued {
            message: (joining.wrap)(&[], 0),
            count: 0,
            size: 0,
            slots: 0,
        });
        true
    }

    fn push(&self, queued: Queued<T>) {
        let (list, _) = self.list.get_or_init(unbounded);
        // The list is as old as the channel: it has both halves.
        let _ = list.send(queued);
    }

    /// Takes the first message, or all of the tail as one.
    #[inline]
    pub(super) fn pop(&self) -> Option<Queued<T>> {
        self.pop_list().or_else(|| self.pop_tail())
    }

    fn pop_list(&self) -> Option<Queued<T>> {
        let (_, list) = self.list.get()?;
        match list.is_empty() {
            true => None,
            false => list.try_recv().ok(),
        }
    }

    fn pop_tail(&self) -> Option<Queued<T>> {
        let joining = self.joining?;
        if self.joined.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut tail = lock(&self.tail);
        // The tail may have moved, or a message may have come before it, since the list was empty.
        if let Some(queued) = self.pop_list() {
            return Some(queued);
        }
        if tail.count == 0 {
            return None;
        }
        let mut bytes = SPARE.take();
        std::mem::swap(&mut bytes, &mut tail.bytes);
        let run = tail.take(|count| count);
        self.joined.store(0, Ordering::Relaxed);
        drop(tail);
        let message = (joining.wrap)(&bytes, run.message);
        bytes.clear();
        SPARE.set(bytes);
        Some(Queued {
            message,
            count: run.count,
            size: run.size,
            slots: run.slots,
        })
    }

    /// Whether small messages are joined.
    pub(super) fn joins(&self) -> bool {
        self.joining.is_some()
    }

    /// The number of messages, joined ones of the list as one.
    pub(super) fn len(&self) -> usize {
        // The tail first: while it moves to the list it counts twice, and never not at all.
        let joined = self.joined.load(Ordering::Acquire) as usize;
        joined + self.list.get().map_or(0, |(_, list)| list.len())
    }

    /// Frees the memory of an empty tail.
    pub(super) fn free_memory(&self) {
        let mut tail = lock(&self.tail);
        if tail.count == 0 {
            tail.bytes = Vec::new();
        }
    }

    /// The receiver is dropped: sends fail from now on. The messages of the list can still be taken.
    pub(super) fn close(&self) {
        *lock(&self.tail) = Tail {
            closed: true,
            ..Tail::default()
        };
        self.joined.store(0, Ordering::Relaxed);
    }
}

impl Tail {
    /// Empties the sums of a sequence of which `message` makes one message.
    fn take<M>(&mut self, message: impl FnOnce(u32) -> M) -> Queued<M> {
        let count = std::mem::take(&mut self.count);
        Queued {
            message: message(count),
            count,
            size: std::mem::take(&mut self.size),
            slots: std::mem::take(&mut self.slots),
        }
    }
}

#[cfg(test)]
impl<T> Queue<T> {
    pub(super) fn has_list(&self) -> bool {
        self.list.get().is_some()
    }
}
