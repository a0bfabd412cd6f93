//! Cancels a receiving call from any thread. It knows nothing of messages: whoever may block for the
//! call registers a waker.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::Waker;

use futures::task::AtomicWaker;

/// Cancels a stream from any thread, also while another one blocks in its `next`. Clones cancel the
/// same stream. Dropping one has no effect.
#[derive(Clone, Default)]
pub struct Canceller(Arc<Cancellation>);

#[derive(Default)]
struct Cancellation {
    is_cancelled: AtomicBool,
    /// Ends what the stream's owner may wait for: an attempt, or the pause before the next one.
    waker: AtomicWaker,
}

impl Canceller {
    /// Cancels the stream: its `next` returns `None`, now and later. Without effect if the stream has
    /// ended. Never blocks.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// True once [`Canceller::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Acquire)
    }

    /// Has the cancellation wake `waker`, instead of an earlier one. At once if it came before.
    pub(crate) fn set_waker(&self, waker: Waker) {
        self.0.waker.register(&waker);
        if self.is_cancelled() {
            self.0.waker.wake();
        }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::thread_waker::ThreadWaker;
    use super::*;

    fn is_woken(sleeper: &ThreadWaker) -> bool {
        sleeper.wait(Some(Instant::now()))
    }

    #[test]
    fn a_cancellation_wakes_the_last_waker() {
        let (first, last) = (ThreadWaker::current(), ThreadWaker::current());
        let canceller = Canceller::default();
        canceller.set_waker(first.waker.clone());
        canceller.set_waker(last.waker.clone());
        assert!(!is_woken(&last) && !canceller.is_cancelled());
        canceller.clone().cancel();
        assert!(is_woken(&last) && canceller.is_cancelled());
        assert!(!is_woken(&first));
    }

    #[test]
    fn a_waker_that_comes_after_the_cancellation_is_woken_at_once() {
        let canceller = Canceller::default();
        canceller.cancel();
        let sleeper = ThreadWaker::current();
        canceller.set_waker(sleeper.waker.clone());
        assert!(is_woken(&sleeper));
    }

    #[test]
    fn a_cancellation_ends_the_sleep_of_another_thread() {
        let sleeper = ThreadWaker::current();
        let canceller = Canceller::default();
        canceller.set_waker(sleeper.waker.clone());
        std::thread::spawn(move || canceller.cancel());
        assert!(sleeper.wait(Some(Instant::now() + Duration::from_secs(30))));
    }
}
