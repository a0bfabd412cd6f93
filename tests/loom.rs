//! Every interleaving of the channel's wake-up protocol and of a call's termination, explored by
//! loom.
//!
//! The bug to find is the lost wake-up: one side goes to sleep just after the other side has found
//! it awake. loom reports it as a deadlock. The test compiles the real source files against loom's
//! primitives; the queue is a counter with relaxed orderings, so only the protocol's own fences
//! protect it.

use std::future::poll_fn;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

/// `src/engine/sync.rs`, with loom's primitives.
mod sync {
    pub(crate) use loom::sync::atomic::{
        fence, AtomicBool, AtomicU32, AtomicU8, AtomicUsize, Ordering,
    };
    pub(crate) use loom::sync::{Mutex, MutexGuard as Guard};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Guard<'_, T> {
        mutex.lock().unwrap()
    }
}

#[allow(dead_code)]
#[path = "../src/engine/channel/wake.rs"]
mod wake;

#[allow(dead_code)]
#[path = "../src/engine/termination.rs"]
mod termination;

use sync::{AtomicBool, AtomicUsize, Ordering};
use termination::{Level, Terminator};
use wake::{Slots, WaitList};

/// A queue that only counts its messages.
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

/// Sleeps until there is slots, as a parked producer does, then takes a slot.
fn take(slots: &Slots) {
    block_on(poll_fn(|cx| loop {
        if slots.try_take(1) {
            return Poll::Ready(());
        }
        if !slots.has_free_slot_or_register(cx.waker()) {
            return Poll::Pending;
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
        let slots = Arc::new(Slots::new(2, 1));
        assert!(slots.try_take(1) && slots.try_take(1) && !slots.try_take(1));
        let receiver = slots.clone();
        let receiving = thread::spawn(move || {
            receiver.give_back(1);
            receiver.give_back(1);
        });
        take(&slots);
        receiving.join().unwrap();
    });
}

#[test]
fn two_senders_that_wait_for_room_both_get_it() {
    explore(|| {
        let slots = Arc::new(Slots::new(1, 0));
        assert!(slots.try_take(1));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let slots = slots.clone();
                thread::spawn(move || {
                    take(&slots);
                    slots.give_back(1);
                })
            })
            .collect();
        slots.give_back(1);
        senders.into_iter().for_each(|s| s.join().unwrap());
    });
}

#[test]
fn a_message_larger_than_the_channel_passes_once_and_frees_it_again() {
    explore(|| {
        let slots = Arc::new(Slots::new(2, 1));
        assert!(slots.try_take(7) && !slots.try_take(1));
        let receiver = slots.clone();
        let receiving = thread::spawn(move || receiver.give_back(7));
        take(&slots);
        receiving.join().unwrap();
        assert_eq!(slots.taken(), 1);
    });
}

/// Sleeps until the call is to end at `level`, as the response writer does.
fn wait_for(call: &Terminator, level: Level) {
    block_on(poll_fn(|cx| {
        call.attach(cx.waker());
        match call.level() >= level {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }));
}

/// An abort may come while the writer is not yet attached, a cut while it handles the abort.
#[test]
fn a_sleeping_writer_hears_of_every_rise_of_the_level() {
    explore(|| {
        let call = Arc::new(Terminator::default());
        let raisers: Vec<_> = [Level::Abort, Level::Cut]
            .into_iter()
            .map(|level| {
                let call = call.clone();
                thread::spawn(move || call.raise(level))
            })
            .collect();
        wait_for(&call, Level::Abort);
        wait_for(&call, Level::Cut);
        call.detach();
        raisers.into_iter().for_each(|r| r.join().unwrap());
    });
}

/// A writer that sees the channel closed by a failure must find the failure.
#[test]
fn a_failure_is_there_before_the_end_that_it_causes() {
    explore(|| {
        let call = Arc::new(Terminator::default());
        let queue = Arc::new(Queue::default());
        let (failing, closing) = (call.clone(), queue.clone());
        let producer = thread::spawn(move || {
            let status = grpcio::RpcStatus::new(grpcio::RpcStatusCode::ABORTED);
            failing.fail(status, || {
                closing.closed.store(true, Ordering::Relaxed);
                true
            });
            closing.receiver.wake();
        });
        queue.closed();
        assert!(call.seal().is_some());
        producer.join().unwrap();
    });
}
