//! When to try again, and how long to wait before: exponential backoff with full jitter, within a
//! budget of attempts and a deadline. It must not know what is tried.

use std::thread;
use std::time::{Duration, Instant};

use grpcio::{RpcStatus, RpcStatusCode};

/// The first wait is at most this long.
const SHORTEST: Duration = Duration::from_millis(100);
/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(5);

/// A server may close a call by cancelling it when the deadline passes, and its clock may be this
/// much ahead of ours. The deadline is still what ended the call.
const CLOCKS_DIFFER: Duration = Duration::from_millis(10);

/// The attempts that are left.
#[derive(Debug)]
pub(super) struct Retry {
    left: u32,
    /// The next wait is at most this long; doubled by each.
    ceiling: Duration,
    /// Nothing is tried after it.
    deadline: Option<Instant>,
}

impl Retry {
    pub(super) fn new(retries: u32, deadline: Option<Instant>) -> Retry {
        Retry {
            left: retries,
            ceiling: SHORTEST,
            deadline,
        }
    }

    /// Blocks until the next attempt is due; false, at once, when there is to be none.
    pub(super) fn pause(&mut self) -> bool {
        match self.next_delay() {
            Some(delay) => {
                thread::sleep(delay);
                true
            }
            None => false,
        }
    }

    /// The same after a call ended with `status`: false also when another attempt would not end better.
    pub(super) fn pause_after(&mut self, status: &RpcStatus) -> bool {
        is_retryable(status.code()) && self.pause()
    }

    fn next_delay(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        // Full jitter: anything from nothing to the ceiling, so that clients that failed together
        // do not come back together.
        let delay = self.ceiling.mul_f64(fastrand::f64());
        self.ceiling = LONGEST.min(self.ceiling * 2);
        let in_time = time_left(self.deadline).is_none_or(|left| delay < left);
        in_time.then_some(delay)
    }
}

/// Whether a call that ended with this status may end better when it is made again.
fn is_retryable(code: RpcStatusCode) -> bool {
    [
        RpcStatusCode::UNAVAILABLE,
        RpcStatusCode::RESOURCE_EXHAUSTED,
    ]
    .contains(&code)
}

/// The deadline of what begins now and may take `limit`; `None` also when that is further away
/// than the clock can tell.
pub(super) fn deadline_after(limit: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(limit?)
}

/// What is left until `deadline`; zero when it has passed.
pub(super) fn time_left(deadline: Option<Instant>) -> Option<Duration> {
    Some(deadline?.saturating_duration_since(Instant::now()))
}

/// The status for the caller of a call with this deadline.
pub(super) fn status_at_deadline(status: RpcStatus, deadline: Option<Instant>) -> RpcStatus {
    match deadline_cancelled(&status, deadline) {
        true => RpcStatus::new(RpcStatusCode::DEADLINE_EXCEEDED),
        false => status,
    }
}

fn deadline_cancelled(status: &RpcStatus, deadline: Option<Instant>) -> bool {
    status.code() == RpcStatusCode::CANCELLED
        && time_left(deadline).is_some_and(|left| left <= CLOCKS_DIFFER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_the_longest_and_are_as_many_as_retries() {
        let mut retry = Retry::new(20, None);
        let mut ceiling = SHORTEST;
        for _ in 0..20 {
            assert!(retry.next_delay().unwrap() <= ceiling);
            ceiling = LONGEST.min(ceiling * 2);
        }
        assert_eq!(retry.next_delay(), None);
        assert_eq!(ceiling, LONGEST);
    }

    #[test]
    fn delays_differ() {
        let first = || Retry::new(1, None).next_delay();
        let one = first();
        assert!((0..100).any(|_| first() != one));
    }

    #[test]
    fn nothing_is_tried_after_the_deadline() {
        let passed = deadline_after(Some(Duration::ZERO));
        assert_eq!(Retry::new(9, passed).next_delay(), None);
        assert!(!Retry::new(9, passed).pause());
        assert!(!Retry::new(0, None).pause());
    }

    #[test]
    fn a_limit_beyond_the_clock_is_none() {
        assert_eq!(deadline_after(Some(Duration::MAX)), None);
        assert_eq!(time_left(None), None);
    }

    #[test]
    fn a_cancel_at_the_deadline_is_the_deadlines() {
        let cancelled = RpcStatus::new(RpcStatusCode::CANCELLED);
        let soon = |limit| deadline_after(Some(limit));
        assert!(deadline_cancelled(&cancelled, soon(Duration::ZERO)));
        assert!(!deadline_cancelled(
            &cancelled,
            soon(Duration::from_secs(60))
        ));
        assert!(!deadline_cancelled(&cancelled, None));
        let other = RpcStatus::new(RpcStatusCode::ABORTED);
        assert!(!deadline_cancelled(&other, soon(Duration::ZERO)));
    }
}
