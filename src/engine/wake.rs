//! The wake-up protocol of the channel: who sleeps, who wakes whom, and how full the channel is.
//!
//! Both halves follow one rule, which is what makes a lost wake-up impossible:
//!
//! * a sleeper first registers in the [`WaitList`], then looks once more, and only then sleeps;
//! * a waker first changes what the sleeper looks at, then asks the [`WaitList`] whether anybody
//!   is registered.
//!
//! Each side has a sequentially consistent fence between its two steps, so at least one of them
//! sees the other. While nobody sleeps, waking costs that fence and one load.
//!
//! `tests/wake_model.rs` compiles this file against loom and explores every interleaving; so it
//! must use nothing but [`super::sync`] and `std::task::Waker`, and know nothing of queues.

use std::task::Waker;

use super::sync::{fence, AtomicBool, AtomicUsize, Mutex, Ordering};

/// Those who sleep until something changes.
#[derive(Default)]
pub(crate) struct WaitList {
    /// True whenever `wakers` may be non-empty; what a waker looks at before it takes the lock.
    occupied: AtomicBool,
    /// Everybody who asked to be woken since the last wake-up, each once.
    wakers: Mutex<Vec<Waker>>,
}

impl WaitList {
    /// Asks for a wake-up. The caller must look again at what it waits for before it sleeps.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut wakers = lock(&self.wakers);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
        self.occupied.store(true, Ordering::Relaxed);
        drop(wakers);
        fence(Ordering::SeqCst);
    }

    /// Wakes everybody registered. The caller must have made its change before.
    #[inline]
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.occupied.load(Ordering::Relaxed) {
            self.wake_registered();
        }
    }

    #[cold]
    fn wake_registered(&self) {
        let woken = {
            let mut wakers = lock(&self.wakers);
            self.occupied.store(false, Ordering::Relaxed);
            std::mem::take(&mut *wakers)
        };
        // Outside the lock: a waker may run code that registers again.
        woken.into_iter().for_each(Waker::wake);
    }
}

/// How much of the channel is taken, in slots, and who waits for room.
pub(crate) struct Room {
    /// Slots taken. Above `capacity` only by the last message let in (see [`Room::take`]).
    taken: AtomicUsize,
    /// From this many slots on nothing more is let in.
    capacity: usize,
    /// Whoever waits for room is woken when no more than this many slots are taken, so that one
    /// wake-up lets a whole batch in.
    low_water: usize,
    senders: WaitList,
}

impl Room {
    pub(crate) fn new(capacity: usize, low_water: usize) -> Room {
        debug_assert!(low_water < capacity);
        Room {
            taken: AtomicUsize::new(0),
            capacity,
            low_water,
            senders: WaitList::default(),
        }
    }

    /// Takes `slots` if anything at all is free. A message may so overshoot the capacity, once:
    /// otherwise one larger than the whole channel could never pass.
    #[inline]
    pub(crate) fn take(&self, slots: usize) -> bool {
        let mut taken = self.taken.load(Ordering::Relaxed);
        loop {
            if taken >= self.capacity {
                return false;
            }
            match self.taken.compare_exchange_weak(
                taken,
                taken + slots,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => taken = now,
            }
        }
    }

    /// As [`Room::take`]; where there is no room, `waker` is woken at the low-water mark.
    pub(crate) fn take_or_register(&self, slots: usize, waker: &Waker) -> bool {
        loop {
            if self.take(slots) {
                return true;
            }
            self.senders.register(waker);
            // Above the mark a later `give_back` passes it, and finds the waker.
            if self.taken.load(Ordering::Relaxed) > self.low_water {
                return false;
            }
        }
    }

    /// Gives back `slots` of a message that left the channel.
    #[inline]
    pub(crate) fn give_back(&self, slots: usize) {
        let before = self.taken.fetch_sub(slots, Ordering::AcqRel);
        if before - slots <= self.low_water {
            self.senders.wake();
        }
    }

    /// Wakes all who wait for room, because they will never get any.
    pub(crate) fn wake_all(&self) {
        self.senders.wake();
    }

    /// Slots taken now: a snapshot, old when it is read.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// Nothing panics while it holds this lock but `Waker::clone`, and then the list is still whole.
fn lock<T>(mutex: &Mutex<T>) -> super::sync::Guard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
