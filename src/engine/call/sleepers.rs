//! Threads that sleep until their call or its server is about to end. It knows nothing of either.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::super::sync::lock;

// One for each open call, so keep it small.
#[derive(Default)]
pub(super) struct Sleepers {
    /// Their number: a notification is a system call, also where no thread sleeps.
    count: Mutex<usize>,
    woken: Condvar,
}

impl Sleepers {
    /// Blocks for `duration`, or until `ends` returns true; returns whether it slept that long.
    pub(super) fn sleep(&self, duration: Duration, ends: impl Fn() -> bool) -> bool {
        let mut count = lock(&self.count);
        *count += 1;
        let slept = self.woken.wait_timeout_while(count, duration, |_| !ends());
        let (mut count, timeout) = slept.unwrap_or_else(|e| e.into_inner());
        *count -= 1;
        timeout.timed_out()
    }

    /// Lets all sleepers ask again whether to end. The caller has changed the answer before.
    pub(super) fn wake(&self) {
        if *lock(&self.count) > 0 {
            self.woken.notify_all();
        }
    }
}
