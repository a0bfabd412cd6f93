//! A yield of the poll thread before it would write a message alone, so that a producer can add to
//! the write. It knows nothing of messages or sinks.
//!
//! A writer that sleeps is woken by the first message. On a processor that it shares with the
//! worker, it preempts that worker; it would write the one message, find no other, and sleep again:
//! two context switches and a system call for each message. One yield before it makes it one write
//! for all that the worker makes meanwhile: 0.47 of the cost of a tiny message on one processor,
//! 0.7 of a call of five. Where no thread waits for the processor, a yield costs half a
//! microsecond.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// After a longer yield the other threads compute rather than send.
const LONG_YIELD: Duration = Duration::from_millis(1);

/// After that there is no yield for so many times as long: yields that gain nothing take at most a
/// hundredth of the poll thread's time.
const PAUSE_FACTOR: u32 = 100;

thread_local! {
    static NEXT_YIELD: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Lets other threads run, unless that took too long lately; false when it did not. It takes as
/// long as the scheduler lets a thread run, a few milliseconds, where others compute.
pub(in crate::engine) fn yield_for_batching() -> bool {
    let began = Instant::now();
    if NEXT_YIELD.get().is_some_and(|time| began < time) {
        return false;
    }
    thread::yield_now();
    NEXT_YIELD.set(next_yield_after(began, began.elapsed()));
    true
}

/// The end of the rest after a yield that took so long.
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
    fn there_is_none_during_the_rest() {
        NEXT_YIELD.set(Some(Instant::now() + Duration::from_secs(60)));
        assert!(!yield_for_batching());
        NEXT_YIELD.set(Some(Instant::now()));
        assert!(yield_for_batching());
    }
}
