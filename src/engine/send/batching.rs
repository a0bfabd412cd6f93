//! Lets the poll thread yield before it writes a single message, so that a producer can add to the
//! write. It knows nothing of messages or sinks.
//!
//! The first message wakes a sleeping writer. On a shared processor it preempts the worker, writes
//! the one message, finds no other, and sleeps again: two context switches and a system call for
//! each message. After one yield it writes all messages that the worker has made meanwhile: 0.47 of
//! the cost of a tiny message on one processor, 0.7 of a call of five. If no thread waits for the
//! processor, a yield costs half a microsecond.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// A longer yield means that the other threads compute rather than send.
const LONG_YIELD: Duration = Duration::from_millis(1);

/// After a long yield, none follows for this multiple of its time: useless yields take at most a
/// hundredth of the poll thread's time.
const PAUSE_FACTOR: u32 = 100;

thread_local! {
    static NEXT_YIELD: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Yields to other threads, unless a recent yield took long; returns whether it did. If other
/// threads compute, a yield takes one time slice, a few milliseconds.
pub(in crate::engine) fn yield_for_batching() -> bool {
    let began = Instant::now();
    if NEXT_YIELD.get().is_some_and(|time| began < time) {
        return false;
    }
    thread::yield_now();
    NEXT_YIELD.set(next_yield_after(began, began.elapsed()));
    true
}

/// The time of the next yield after one that took `took`; `None` for at once.
fn next_yield_after(began: Instant, took: Duration) -> Option<Instant> {
    (took > LONG_YIELD).then(|| began + took * PAUSE_FACTOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_yields_are_rare() {
        let began = Instant::now();
        assert_eq!(next_yield_after(began, LONG_YIELD), None);
        let took = 2 * LONG_YIELD;
        let until = next_yield_after(began, took).unwrap();
        assert_eq!(until - began, Duration::from_millis(200));
    }

    #[test]
    fn no_yield_follows_a_long_one_at_once() {
        NEXT_YIELD.set(Some(Instant::now() + Duration::from_secs(60)));
        assert!(!yield_for_batching());
        NEXT_YIELD.set(Some(Instant::now()));
        assert!(yield_for_batching());
    }
}
