//! Whether a thread of this process sleeps in the kernel, by its own word. Reads `/proc`; knows
//! nothing of what threads do.

use std::fs;

/// Names a thread to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadId(i32);

impl ThreadId {
    /// Of the calling thread.
    pub(crate) fn current() -> ThreadId {
        ThreadId(rustix::thread::gettid().as_raw_pid())
    }

    /// True when the thread waits for something other than a processor. Where the kernel does not
    /// say, it is taken to wait. Takes some 10 µs.
    pub(crate) fn is_asleep(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/self/task/{}/stat", self.0));
        // The state is the first field behind the name, which may hold anything.
        let state = stat
            .ok()
            .and_then(|stat| stat.rsplit_once(") ")?.1.chars().next());
        state != Some('R')
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::sync::Arc;

    use super::super::testing::eventually;
    use super::*;

    #[test]
    fn a_thread_that_runs_is_not_asleep_and_one_that_waits_is() {
        assert!(!ThreadId::current().is_asleep());
        let (tell, told) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        let busy = Arc::new(AtomicBool::new(true));
        let still = busy.clone();
        let other = std::thread::spawn(move || {
            tell.send(ThreadId::current()).unwrap();
            while still.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            let _ = gate.recv();
        });
        let thread = told.recv().unwrap();
        assert!(!thread.is_asleep());
        busy.store(false, Ordering::Relaxed);
        eventually("it waits", || thread.is_asleep());
        drop(release);
        other.join().unwrap();
    }
}
