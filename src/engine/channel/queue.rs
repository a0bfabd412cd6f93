//! The messages of a channel, on two of crossbeam's queues. It must not know slots or wakers.
//!
//! The first [`FIRST`] messages take an array, which is all that most open calls ever need. The
//! first message beyond them makes a list, and later messages take that. The memory of a list
//! follows the number of its messages, but is 1.7 KB from the first one on, in each call that
//! mostly waits. An array of a whole channel would be 14 KB.
//!
//! The messages of a producer keep their order. Once it has used the list, it never uses the array
//! again. The receiver looks at the list before it finds the array empty, so the array then holds
//! no earlier message of the producer whose message is first in the list.

use std::sync::{Mutex, OnceLock};

use crossbeam_channel::{Receiver, SendError, Sender, TrySendError};

use super::super::sync::lock;

/// Slots of the array. Each costs an open call 56 bytes. A call of five messages makes no list.
pub(super) const FIRST: usize = 6;

/// The list, made when a message finds the array full. Both halves share it.
pub(super) struct List<T> {
    sender: OnceLock<Sender<T>>,
    receiver: Mutex<Handover<T>>,
}

/// The way of the list's receiver to the receiving half.
enum Handover<T> {
    NotMade,
    Ready(Receiver<T>),
    /// The receiving half has it, or was dropped.
    Done,
}

/// The sending half. It needs the [`List`] of its channel.
pub(super) struct QueueSender<T>(Sender<T>);

/// The receiving half. It needs the [`List`] of its channel.
pub(super) struct QueueReceiver<T> {
    first: Receiver<T>,
    list: OnceLock<Receiver<T>>,
}

/// An empty queue.
pub(super) fn queue<T>() -> (QueueSender<T>, QueueReceiver<T>) {
    let (sender, first) = crossbeam_channel::bounded(FIRST);
    let list = OnceLock::new();
    (QueueSender(sender), QueueReceiver { first, list })
}

impl<T> Default for List<T> {
    fn default() -> List<T> {
        List {
            sender: OnceLock::new(),
            receiver: Mutex::new(Handover::NotMade),
        }
    }
}

impl<T> List<T> {
    #[cold]
    fn make(&self) -> &Sender<T> {
        self.sender.get_or_init(|| {
            let (sender, receiver) = crossbeam_channel::unbounded();
            let mut handover = lock(&self.receiver);
            // If the receiving half was dropped, this one is dropped too: sends fail.
            if !matches!(*handover, Handover::Done) {
                *handover = Handover::Ready(receiver);
            }
            sender
        })
    }

    fn hand_over(&self) -> Option<Receiver<T>> {
        match std::mem::replace(&mut *lock(&self.receiver), Handover::Done) {
            Handover::Ready(receiver) => Some(receiver),
            Handover::NotMade | Handover::Done => None,
        }
    }
}

impl<T> QueueSender<T> {
    /// Fails if the receiving half was dropped.
    #[inline]
    pub(super) fn send(&self, list: &List<T>, message: T) -> Result<(), SendError<T>> {
        if let Some(list) = list.sender.get() {
            return list.send(message);
        }
        match self.0.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => list.make().send(message),
            Err(TrySendError::Disconnected(message)) => Err(SendError(message)),
        }
    }
}

impl<T> Clone for QueueSender<T> {
    fn clone(&self) -> QueueSender<T> {
        QueueSender(self.0.clone())
    }
}

impl<T> QueueReceiver<T> {
    #[inline]
    pub(super) fn pop(&self, list: &List<T>) -> Option<T> {
        match self.list(list) {
            // In this order; and `is_empty` costs less than `try_recv` on an empty array.
            Some(list) if !list.is_empty() && self.first.is_empty() => list.try_recv().ok(),
            _ => self.first.try_recv().ok(),
        }
    }

    pub(super) fn len(&self, list: &List<T>) -> usize {
        self.first.len() + self.list(list).map_or(0, Receiver::len)
    }

    /// For the drop of the receiving half: a list made from now on refuses its messages. Those of
    /// an earlier one can still be taken.
    pub(super) fn close(&self, list: &List<T>) {
        self.take(list);
    }

    #[inline]
    fn list(&self, list: &List<T>) -> Option<&Receiver<T>> {
        match self.list.get() {
            Some(known) => Some(known),
            None if list.sender.get().is_none() => None,
            None => self.take(list),
        }
    }

    #[cold]
    fn take(&self, list: &List<T>) -> Option<&Receiver<T>> {
        if let Some(receiver) = list.hand_over() {
            let _ = self.list.set(receiver); // handed over once
        }
        self.list.get()
    }
}
