//! The channel of one call: many sending threads, one receiver, bounded, on crossbeam's queue.
//!
//! crossbeam carries the messages. A poll thread needs three things more: each half can wait as a
//! `Waker` instead of a blocked thread, senders are woken at a low-water mark instead of at every
//! message, and a large message takes more than one slot. This module knows nothing of gRPC,
//! workers or calls.
//!
//! `Slots` bounds the queue, in which small messages of a server wait joined; see `queue`.

mod capacity;
mod error;
mod queue;
mod receiver;
mod sender;
mod wake;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Wake;
use std::time::Instant;

pub use capacity::Capacity;
pub(super) use error::RecvError;
pub use error::{SendError, TrySendError};
pub(super) use receiver::Receiver;
pub(super) use sender::Sender;

use super::sync;
pub(super) use queue::Joining;
use queue::Queue;
use wake::{Slots, WaitList};

/// A channel bounded by the number of its messages and by their size in bytes. The sender calls
/// `size` once for each message. The receiver gets small messages joined if `joining` tells how.
pub(super) fn bounded<T>(
    capacity: Capacity,
    size: fn(&T) -> usize,
    joining: Option<Joining<T>>,
) -> (Sender<T>, Receiver<T>) {
    let slots = capacity.messages.max(1);
    let channel = Arc::new(Channel {
        slots: Slots::new(slots, slots / 2),
        size,
        slot_bytes: capacity.slot_bytes(),
        closed: AtomicBool::new(false),
        disconnected: AtomicBool::new(false),
        queue: Queue::new(joining),
        receive_deadline: OnceLock::new(),
        receiver: WaitList::default(),
        close_waiters: WaitList::default(),
    });
    let sender = Sender {
        channel: channel.clone(),
    };
    (sender, Receiver { channel })
}

/// A message in the channel, or several joined ones.
pub(super) struct Queued<T> {
    pub(super) message: T,
    /// The number of messages; 0 if it carries headers alone.
    pub(super) count: u32,
    /// In bytes; at most 4 GiB, the maximum of gRPC.
    pub(super) size: u32,
    /// Kept with the message, to give back as many slots as it took.
    slots: u32,
}

/// The state that both halves share.
struct Channel<T> {
    slots: Slots,
    size: fn(&T) -> usize,
    slot_bytes: usize,
    /// No more messages will be sent. Set before the receiver is woken; never reset.
    closed: AtomicBool,
    /// The receiver takes no more messages. Set before the senders are woken; never reset.
    disconnected: AtomicBool,
    queue: Queue<T>,
    /// A blocked receiver stops waiting then, even if its own timeout is longer.
    receive_deadline: OnceLock<Instant>,
    /// The receiver, while it sleeps.
    receiver: WaitList,
    /// Senders to wake when no further message can be received, though they wait for no slot.
    close_waiters: WaitList,
}

impl<T: Send + 'static> Wake for Channel<T> {
    fn wake(self: Arc<Self>) {
        self.receiver.wake();
    }
}

impl<T> Channel<T> {
    #[inline]
    fn queued(&self, message: T) -> Queued<T> {
        let size = (self.size)(&message);
        let slots = 1 + size / self.slot_bytes;
        Queued {
            message,
            count: 1,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
        }
    }

    /// True if it was open until now. The caller wakes both halves.
    fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::SeqCst)
    }

    fn wake_both(&self) {
        self.receiver.wake();
        self.wake_senders();
    }

    fn wake_senders(&self) {
        self.slots.wake_all();
        self.close_waiters.wake();
    }
}

#[cfg(test)]
mod tests;
