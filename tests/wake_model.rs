//! Every interleaving of the channel's wake-up protocol, explored by loom.
//!
//! The bug to fear is the lost wake-up: one side goes to sleep just when the other has looked and
//! seen nobody asleep. loom reports it as a deadlock. The file under test is the real one, compiled
//! against loom's primitives; the queue between is a counter with the weakest orderings there are,
//! so that only the protocol's own fences can save it.

use std::future::poll_fn;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

/// What `src/engine/sync.rs` is in the library.
mod sync {
    pub(crate) use loom::sync::atomic::{fence, AtomicBool, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard as Guard};
}

#[allow(dead_code)]
#[path = "../src/engine/wake.rs"]
mod wake;

use sync::{AtomicBool, AtomicUsize, Ordering};
use wake::{Room, WaitList};

/// A queue that says how many messages are in it, and nothing more.
#[derive(Default)]
struct Queue {
    messages: AtomicUsize,
    closed: AtomicBool,
    receiver: WaitList,
}

impl Queue {
    fn push(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.receiver.wake();
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.receiver.wake();
    }

    fn pop(&self) -> bool {
        let one_less = |n: usize| n.checked_sub(1);
        let popped = self
            .messages
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        popped.is_ok()
    }

    /// Sleeps until there is a message, as `Receiver::poll_recv` does.
    fn recv(&self) {
        block_on(poll_fn(|cx| {
            if self.pop() {
                return Poll::Ready(());
            }
            self.receiver.register(cx.waker());
            if self.pop() {
                return Poll::Ready(());
            }
            Poll::Pending
        }));
    }

    /// Sleeps until the channel is closed.
    fn closed(&self) {
        block_on(poll_fn(|cx| {
            self.receiver.register(cx.waker());
            if self.closed.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            Poll::Pending
        }));
    }
}

/// Explores every interleaving in which a thread is preempted at most twice: a lost wake-up needs
/// one preemption, between a look and the sleep, and without a bound the models take minutes.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// Sleeps until there is room, as a parked producer does.
fn take(room: &Room) {
    block_on(poll_fn(|cx| {
        if room.take_or_register(1, cx.waker()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
}

#[test]
fn a_sleeping_receiver_hears_of_every_message() {
    explore(|| {
        let queue = Arc::new(Queue::default());
        let sender = queue.clone();
        let sending = thread::spawn(move || {
            sender.push();
            sender.push();
        });
        queue.recv();
        queue.recv();
        sending.join().unwrap();
    });
}

#[test]
fn a_sleeping_receiver_hears_of_two_senders() {
    explore(|| {
        let queue = Arc::new(Queue::default());
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || queue.push())
            })
            .collect();
        queue.recv();
        queue.recv();
        senders.into_iter().for_each(|s| s.join().unwrap());
    });
}

#[test]
fn a_sleeping_receiver_hears_of_the_end() {
    explore(|| {
        let queue = Arc::new(Queue::default());
        let sender = queue.clone();
        let closing = thread::spawn(move || sender.close());
        queue.closed();
        closing.join().unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_room_gets_it() {
    explore(|| {
        let room = Arc::new(Room::new(2, 1));
        assert!(room.take(1) && room.take(1) && !room.take(1));
        let receiver = room.clone();
        let receiving = thread::spawn(move || {
            receiver.give_back(1);
            receiver.give_back(1);
        });
        take(&room);
        receiving.join().unwrap();
    });
}

#[test]
fn two_senders_that_wait_for_room_both_get_it() {
    explore(|| {
        let room = Arc::new(Room::new(1, 0));
        assert!(room.take(1));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let room = room.clone();
                thread::spawn(move || {
                    take(&room);
                    room.give_back(1);
                })
            })
            .collect();
        room.give_back(1);
        senders.into_iter().for_each(|s| s.join().unwrap());
    });
}

#[test]
fn a_message_larger_than_the_channel_passes_once_and_frees_it_again() {
    explore(|| {
        let room = Arc::new(Room::new(2, 1));
        assert!(room.take(7) && !room.take(1));
        let receiver = room.clone();
        let receiving = thread::spawn(move || receiver.give_back(7));
        take(&room);
        receiving.join().unwrap();
        assert_eq!(room.taken(), 1);
    });
}
