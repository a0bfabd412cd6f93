//! A `Waker` that wakes a blocked thread, so that a thread can wait like a task. It must not know
//! the condition.
//!
//! Unlike the executors of `futures` and tokio, which panic on a thread that already runs one, it
//! works wherever a thread may block.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
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

/// Blocks until the future is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let sleeper = ThreadWaker::current();
    let mut cx = Context::from_waker(&sleeper.waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        sleeper.wait(None);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::channel::oneshot;

    use super::*;

    #[test]
    fn a_thread_blocks_on_a_future_also_within_an_executor() {
        let (sender, receiver) = oneshot::channel();
        let sending = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            sender.send(7)
        });
        let received = futures::executor::block_on(async { block_on(receiver) });
        assert_eq!(received, Ok(7));
        assert_eq!(sending.join().unwrap(), Ok(()));
    }
}
