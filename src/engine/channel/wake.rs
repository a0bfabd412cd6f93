//! The wake-up protocol of the channel: the list of sleepers, and the slots that senders wait for.
//!
//! Both halves follow one rule, which makes a lost wake-up impossible:
//!
//! * a sleeper registers in the [`WaitList`], then checks its condition again, and only then
//!   sleeps;
//! * a waker changes the condition, then checks whether the [`WaitList`] is occupied.
//!
//! Each side has a sequentially consistent fence between its two steps, so at least one of them
//! sees the other. Without a sleeper, a wake-up costs that fence and one load.
//!
//! `tests/loom.rs` compiles this file against loom and explores every interleaving. So it must use
//! only [`super::sync`], `smallvec` and `std::task::Waker`, and know nothing of queues.

use std::task::Waker;

use smallvec::SmallVec;

use super::sync::{fence, lock, AtomicBool, AtomicUsize, Mutex, Ordering};

/// Sleepers that wait for one condition.
#[derive(Default)]
pub(crate) struct WaitList {
    /// True whenever `wakers` may be non-empty. A waker reads it before it takes the lock.
    occupied: AtomicBool,
    /// Registered since the last wake-up, each once; mostly one, which takes no allocation.
    wakers: Mutex<SmallVec<[Waker; 1]>>,
}

impl WaitList {
    /// Registers `waker` for the next wake-up. The caller must check its condition again before it
    /// sleeps.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut wakers = lock(&self.wakers);
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
        self.occupied.store(true, Ordering::Relaxed);
        drop(wakers);
        fence(Ordering::SeqCst);
    }

    /// Wakes all registered sleepers. The caller must have changed the condition before.
    #[inline]
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.occupied.load(Ordering::Relaxed) {
            self.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Drops the registration of a sleeper that no longer waits.
    pub(crate) fn unregister(&self, waker: &Waker) {
        lock(&self.wakers).retain(|known| !known.will_wake(waker));
    }

    /// The number of registered sleepers.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.wakers).len()
    }

    /// Drops all registered wakers without waking them.
    pub(crate) fn clear(&self) {
        drop(self.take());
    }

    /// The wakers are used and dropped outside the lock: either may run code that registers again.
    #[cold]
    fn take(&self) -> SmallVec<[Waker; 1]> {
        let mut wakers = lock(&self.wakers);
        self.occupied.store(false, Ordering::Relaxed);
        std::mem::take(&mut *wakers)
    }
}

/// The slots of a channel, and the senders that wait for free ones.
pub(crate) struct Slots {
    taken: AtomicUsize,
    /// The channel is full with this number of taken slots.
    capacity: usize,
    /// Waiting senders are woken when at most this many slots are taken, so one wake-up lets a
    /// whole batch in.
    low_water: usize,
    senders: WaitList,
}

impl Slots {
    pub(crate) fn new(capacity: usize, low_water: usize) -> Slots {
        debug_assert!(low_water < capacity);
        Slots {
            taken: AtomicUsize::new(0),
            capacity,
            low_water,
            senders: WaitList::default(),
        }
    }

    /// Whether any slot is free.
    #[inline]
    pub(crate) fn has_free_slot(&self) -> bool {
        self.taken() < self.capacity
    }

    /// Takes `slots`, even if they are not free.
    #[inline]
    pub(crate) fn take(&self, slots: usize) {
        self.taken.fetch_add(slots, Ordering::AcqRel);
    }

    /// Takes `slots` if any slot is free. So one message may exceed the capacity: otherwise a
    /// message larger than the channel could never pass.
    #[inline]
    pub(crate) fn try_take(&self, slots: usize) -> bool {
        let more = |taken| (taken < self.capacity).then_some(taken + slots);
        let taken = self
            .taken
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        taken.is_ok()
    }

    /// Whether any slot is free; if not, `waker` is woken at the low-water mark.
    pub(crate) fn has_free_slot_or_register(&self, waker: &Waker) -> bool {
        loop {
            if self.has_free_slot() {
                return true;
            }
            self.senders.register(waker);
            // Above the mark, a later `give_back` passes the mark and finds the waker.
            if self.taken() > self.low_water {
                return false;
            }
        }
    }

    /// Gives back the `slots` of a message that left the channel.
    #[inline]
    pub(crate) fn give_back(&self, slots: usize) {
        let before = self.taken.fetch_sub(slots, Ordering::AcqRel);
        if before - slots <= self.low_water {
            self.senders.wake();
        }
    }

    /// Wakes all waiting senders, because the channel is closed.
    pub(crate) fn wake_all(&self) {
        self.senders.wake();
    }

    /// The number of taken slots, which may change at once.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}
