//! The messages of a channel, on two of crossbeam's queues. It must not know slots or wakers.
//!
//! The first messages take an array, behind a lock. It is made for a message and can be freed while
//! it is empty, so an open call that mostly waits has none: crossbeam's array takes 1 KB. A message
//! that finds the array full makes a list, and all later messages take that, without the lock. The
//! memory of a list follows the number of its messages, but is 2 KB from the first one on. An array
//! of a whole channel would be 28 KB.
//!
//! All messages keep their order. The list is made under the lock, and no message enters the array
//! after that. The receiver takes the list once it has found the array empty.

use std::sync::{Mutex, OnceLock};

use crossbeam_channel::{bounded, unbounded, Receiver, SendError, Sender, TrySendError};

use super::super::sync::lock;

/// Slots of the array, of 56 bytes each. A call of five messages makes no list.
pub(super) const FIRST: usize = 6;

/// The part that both halves share. Senders need no more.
pub(super) struct Queue<T> {
    /// `Some` from the message on that found the array full.
    list: OnceLock<Sender<T>>,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// `Some` while it has messages, and until it is freed.
    array: Option<(Sender<T>, Receiver<T>)>,
    /// The other half of the list, on its way to the receiving half.
    list: Option<Receiver<T>>,
    /// The receiving half was dropped.
    closed: bool,
}

/// The part of the receiving half alone.
pub(super) struct QueueReceiver<T> {
    /// `Some` once the array has no message and gets no more.
    list: OnceLock<Receiver<T>>,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(super) fn new() -> (Queue<T>, QueueReceiver<T>) {
        let queue = Queue {
            list: OnceLock::new(),
            state: Mutex::new(State {
                array: None,
                list: None,
                closed: false,
            }),
        };
        let list = OnceLock::new();
        (queue, QueueReceiver { list })
    }

    /// Fails if the receiving half was dropped.
    #[inline]
    pub(super) fn send(&self, message: T) -> Result<(), SendError<T>> {
        match self.list.get() {
            Some(list) => list.send(message),
            None => self.send_locked(message),
        }
    }

    fn send_locked(&self, message: T) -> Result<(), SendError<T>> {
        let mut state = lock(&self.state);
        if let Some(list) = self.list.get() {
            return list.send(message); // another sender has made it
        }
        if state.closed {
            return Err(SendError(message));
        }
        let (array, _) = state.array.get_or_insert_with(|| bounded(FIRST));
        match array.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                let (list, receiver) = unbounded();
                state.list = Some(receiver);
                self.list.get_or_init(|| list).send(message)
            }
        }
    }

    /// Frees the array if it is empty; a later message makes another.
    pub(super) fn free_array(&self) {
        if self.list.get().is_none() {
            let mut state = lock(&self.state);
            drop(state.array.take_if(|(_, array)| array.is_empty()));
        }
    }
}

#[cfg(test)]
impl<T> Queue<T> {
    pub(super) fn has_array(&self) -> bool {
        lock(&self.state).array.is_some()
    }
}

impl<T> QueueReceiver<T> {
    #[inline]
    pub(super) fn pop(&self, queue: &Queue<T>) -> Option<T> {
        match self.list.get() {
            Some(list) if list.is_empty() => None,
            Some(list) => list.try_recv().ok(),
            None => self.pop_locked(queue),
        }
    }

    fn pop_locked(&self, queue: &Queue<T>) -> Option<T> {
        let mut state = lock(&queue.state);
        if let Some((_, array)) = &state.array {
            if let Ok(message) = array.try_recv() {
                return Some(message);
            }
        }
        let list = state.list.take()?;
        state.array = None;
        drop(state);
        self.list.get_or_init(|| list).try_recv().ok()
    }

    pub(super) fn len(&self, queue: &Queue<T>) -> usize {
        if let Some(list) = self.list.get() {
            return list.len();
        }
        let state = lock(&queue.state);
        let array = state.array.as_ref().map_or(0, |(_, array)| array.len());
        array + state.list.as_ref().map_or(0, Receiver::len)
    }

    /// For the drop of the receiving half: sends fail from now on, or once the list is dropped with
    /// it. Queued messages can still be taken.
    pub(super) fn close(&self, queue: &Queue<T>) {
        lock(&queue.state).closed = true;
    }
}
