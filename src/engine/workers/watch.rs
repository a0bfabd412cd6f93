//! The watch over slices that hold back wake-ups.
//!
//! Waking a reader for each message costs more than the message. So a slice that makes many messages
//! in a short time wakes their reader at its end. But it may block or compute in between, while its
//! last messages wait. So the clock thread looks every [`TICK`], while there are such slices. It wakes
//! the reader of one that it sees twice, and from then on that slice holds nothing back.

use std::cell::RefCell;
use std::sync::atomic::{fence, AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use super::super::sync::lock;

/// Between two looks of the clock thread. A wake-up is at most two of them late.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Looks without such a slice, after which the clock thread stops looking.
const IDLE_TICKS: u32 = 8;

#[derive(Default)]
pub(super) struct Watch {
    /// One for each worker thread.
    posts: Mutex<Vec<Arc<Post>>>,
    /// The clock thread looks, or is about to.
    is_on: AtomicBool,
}

/// The slice of one worker thread.
#[derive(Default)]
struct Post {
    held: Mutex<Option<Held>>,
    /// The clock thread has woken its reader.
    is_caught: AtomicBool,
}

struct Held {
    /// Wakes the reader.
    reader: Waker,
    /// The clock thread has seen it before.
    is_seen: bool,
}

thread_local! {
    static POST: RefCell<Option<Arc<Post>>> = const { RefCell::new(None) };
}

/// The right of a slice to hold back wake-ups. Dropping it wakes the reader.
pub(in crate::engine) struct Hold(Arc<Post>);

impl Watch {
    /// Puts the calling worker thread under watch, until [`Watch::remove_thread`].
    pub(super) fn add_thread(&self) {
        let post = Arc::<Post>::default();
        POST.set(Some(post.clone()));
        lock(&self.posts).push(post);
    }

    pub(super) fn remove_thread(&self) {
        if let Some(own) = POST.take() {
            lock(&self.posts).retain(|post| !Arc::ptr_eq(post, &own));
        }
    }

    /// Lets the slice of the calling thread hold back wake-ups; `None` on another thread. If the
    /// second result is true, the caller must wake the clock thread.
    pub(super) fn hold(&self, reader: Waker) -> Option<(Hold, bool)> {
        let post = POST.with_borrow(Option::clone)?;
        post.is_caught.store(false, Ordering::Relaxed);
        *lock(&post.held) = Some(Held {
            reader,
            is_seen: false,
        });
        // After the lock: a clock thread that did not see this slice has turned itself off before.
        let begins =
            !self.is_on.load(Ordering::Acquire) && !self.is_on.swap(true, Ordering::AcqRel);
        Some((Hold(post), begins))
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// The look of the clock thread, which keeps the number of looks in a row without such a slice.
    pub(super) fn look(&self, idle_ticks: &mut u32) {
        *idle_ticks = if self.catch() { 0 } else { *idle_ticks + 1 };
        if *idle_ticks >= IDLE_TICKS {
            *idle_ticks = 0;
            self.is_on.store(false, Ordering::Release);
            if self.catch() {
                self.is_on.store(true, Ordering::Release);
            }
        }
    }

    /// Wakes the readers of slices that were seen before. True if there is any slice.
    fn catch(&self) -> bool {
        let mut late = Vec::new();
        let mut is_any = false;
        for post in lock(&self.posts).iter() {
            let mut held = lock(&post.held);
            if held.as_ref().is_some_and(|held| held.is_seen) {
                // Before the wake-up: see [`Hold::is_caught`].
                post.is_caught.store(true, Ordering::SeqCst);
                late.extend(held.take());
            } else if let Some(held) = &mut *held {
                held.is_seen = true;
                is_any = true;
            }
        }
        // Outside the locks: a wake-up runs foreign code.
        late.into_iter().for_each(|held: Held| held.reader.wake());
        is_any
    }
}

impl Hold {
    /// Whether the clock thread has woken the reader, or is about to: then the slice holds nothing
    /// back any more. Ask after each message. If the answer is no, the clock thread will wake the
    /// reader after that message was added.
    #[inline]
    pub(in crate::engine) fn is_caught(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.is_caught.load(Ordering::Relaxed)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let held = lock(&self.0.held).take();
        if let Some(held) = held {
            held.reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::Count;
    use super::*;

    #[test]
    fn a_slice_wakes_its_reader_at_its_end() {
        let watch = Watch::default();
        let (woken, waker) = Count::new();
        assert!(watch.hold(waker.clone()).is_none(), "no worker");
        watch.add_thread();
        let (hold, begins) = watch.hold(waker.clone()).unwrap();
        assert!(begins && watch.is_on());
        watch.look(&mut 0);
        assert!(!hold.is_caught());
        assert_eq!(woken.get(), 0);
        drop(hold);
        assert_eq!(woken.get(), 1);
        watch.remove_thread();
    }

    #[test]
    fn the_clock_wakes_the_reader_of_a_slice_that_it_sees_twice_once() {
        let watch = Watch::default();
        let (woken, waker) = Count::new();
        watch.add_thread();
        let (hold, _) = watch.hold(waker.clone()).unwrap();
        let mut idle_ticks = 0;
        watch.look(&mut idle_ticks);
        watch.look(&mut idle_ticks);
        assert!(hold.is_caught());
        // The slice blocks on, which costs nobody anything.
        (0..IDLE_TICKS).for_each(|_| watch.look(&mut idle_ticks));
        assert!(!watch.is_on());
        drop(hold);
        assert_eq!(woken.get(), 1);
        let (hold, begins) = watch.hold(waker.clone()).unwrap();
        assert!(begins && !hold.is_caught(), "a new slice");
        drop(hold);
        watch.remove_thread();
    }

    #[test]
    fn the_watch_ends_with_the_slices() {
        let watch = Watch::default();
        watch.add_thread();
        drop(watch.hold(Waker::noop().clone()).unwrap());
        let mut idle_ticks = 0;
        for _ in 0..IDLE_TICKS {
            assert!(watch.is_on());
            watch.look(&mut idle_ticks);
        }
        assert!(!watch.is_on());
        assert!(watch.hold(Waker::noop().clone()).unwrap().1, "again");
        watch.remove_thread();
    }
}
