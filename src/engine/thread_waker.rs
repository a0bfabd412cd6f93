//! A `Waker` that wakes a blocked thread, so that a thread can wait like a task. It must not know
//! the condition.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// A thread that can block until its waker is called.
pub(crate) struct ThreadWaker {
    thread: Arc<SleepingThread>,
    pub(crate) waker: Waker,
}

struct SleepingThread {
    thread: Thread,
    /// A wake-up that no `wait` has consumed; `park` alone may return spuriously.
    woken: AtomicBool,
}

impl ThreadWaker {
    pub(crate) fn current() -> ThreadWaker {
        let thread = Arc::new(SleepingThread {
            thread: thread::current(),
            woken: AtomicBool::new(false),
        });
        ThreadWaker {
            waker: Waker::from(thread.clone()),
            thread,
        }
    }

    /// Blocks until woken, at most until `deadline`; false after the deadline.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        loop {
            if self.thread.woken.swap(false, Ordering::Acquire) {
                return true;
            }
            match deadline {
                None => thread::park(),
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => thread::park_timeout(left),
                    _ => return false,
                },
            }
        }
    }
}

impl Wake for SleepingThread {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
