//! Decides whether and when to retry: exponential backoff with full jitter, limited by a number of
//! retries and a deadline. Calls that the server has not processed are retried in any case, as gRPC
//! prescribes (transparent retries). It must not know the operation.

use std::thread;
use std::time::{Duration, Instant};

use grpcio::{RpcStatus, RpcStatusCode};

/// Maximum of the first delay.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
/// Maximum of any delay.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Maximum of transparent retries in a row.
const MAX_TRANSPARENT: u32 = 5;

/// The message of the C-core for a call that its connection no longer takes: the server closes the
/// connection in an orderly way, and its GOAWAY does not include the call.
const NOT_PROCESSED: &str = "GOAWAY received; Error code: 0;";

/// A server may cancel a call at its deadline, and its clock may be this much ahead. A cancellation
/// this close to the deadline counts as the deadline.
const MAX_CLOCK_SKEW: Duration = Duration::from_millis(10);

/// The remaining retries and their backoff.
#[derive(Debug)]
pub(super) struct Retry {
    left: u32,
    transparent_left: u32,
    /// Maximum of the next delay. Each retry doubles it.
    ceiling: Duration,
    /// No retry starts after it.
    deadline: Option<Instant>,
}

impl Retry {
    pub(super) fn new(retries: u32, deadline: Option<Instant>) -> Retry {
        Retry {
            left: retries,
            transparent_left: MAX_TRANSPARENT,
            ceiling: INITIAL_BACKOFF,
            deadline,
        }
    }

    /// Blocks until the next retry is due. Returns false at once if no retry is left in time.
    pub(super) fn pause(&mut self) -> bool {
        match self.next_delay() {
            Some(delay) => {
                thread::sleep(delay);
                true
            }
            None => false,
        }
    }

    /// Like `pause`, after a call ended with `status`. Returns false also if the status is not
    /// retryable.
    pub(super) fn pause_after(&mut self, status: &RpcStatus) -> bool {
        if is_unprocessed(status) && self.transparent_left > 0 {
            self.transparent_left -= 1;
            return true;
        }
        is_retryable(status.code()) && self.pause()
    }

    fn next_delay(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        // Full jitter: uniform from zero to the ceiling, so that clients that failed together do
        // not retry together.
        let delay = self.ceiling.mul_f64(fastrand::f64());
        self.ceiling = MAX_BACKOFF.min(self.ceiling * 2);
        let in_time = time_left(self.deadline).is_none_or(|left| delay < left);
        in_time.then_some(delay)
    }
}

/// Returns true if another attempt may succeed after this status.
fn is_retryable(code: RpcStatusCode) -> bool {
    [
        RpcStatusCode::UNAVAILABLE,
        RpcStatusCode::RESOURCE_EXHAUSTED,
    ]
    .contains(&code)
}

/// Returns true if the server has certainly not processed the call.
fn is_unprocessed(status: &RpcStatus) -> bool {
    status.code() == RpcStatusCode::UNAVAILABLE && status.message().starts_with(NOT_PROCESSED)
}

/// Returns the deadline `limit` from now, or `None` if it is beyond the clock's range.
pub(super) fn deadline_after(limit: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(limit?)
}

/// Returns the time left until `deadline`, or zero if it has passed.
pub(super) fn time_left(deadline: Option<Instant>) -> Option<Duration> {
    Some(deadline?.saturating_duration_since(Instant::now()))
}

/// Converts a cancellation at the deadline to DEADLINE_EXCEEDED.
pub(super) fn status_at_deadline(status: RpcStatus, deadline: Option<Instant>) -> RpcStatus {
    match deadline_cancelled(&status, deadline) {
        true => RpcStatus::new(RpcStatusCode::DEADLINE_EXCEEDED),
        false => status,
    }
}

fn deadline_cancelled(status: &RpcStatus, deadline: Option<Instant>) -> bool {
    status.code() == RpcStatusCode::CANCELLED
        && time_left(deadline).is_some_and(|left| left <= MAX_CLOCK_SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_the_maximum_and_end_with_the_retries() {
        let mut retry = Retry::new(20, None);
        let mut ceiling = INITIAL_BACKOFF;
        for _ in 0..20 {
            assert!(retry.next_delay().unwrap() <= ceiling);
            ceiling = MAX_BACKOFF.min(ceiling * 2);
        }
        assert_eq!(retry.next_delay(), None);
        assert_eq!(ceiling, MAX_BACKOFF);
    }

    #[test]
    fn delays_differ() {
        let first = || Retry::new(1, None).next_delay();
        let one = first();
        assert!((0..100).any(|_| first() != one));
    }

    #[test]
    fn no_retry_after_the_deadline() {
        let passed = deadline_after(Some(Duration::ZERO));
        assert_eq!(Retry::new(9, passed).next_delay(), None);
        assert!(!Retry::new(9, passed).pause());
        assert!(!Retry::new(0, None).pause());
    }

    #[test]
    fn a_limit_beyond_the_clocks_range_is_no_deadline() {
        assert_eq!(deadline_after(Some(Duration::MAX)), None);
        assert_eq!(time_left(None), None);
    }

    #[test]
    fn a_call_that_the_server_has_not_processed_is_retried_at_once() {
        let message = format!("{NOT_PROCESSED} Debug Text: ");
        let status = RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, message);
        let mut retry = Retry::new(0, None);
        for _ in 0..MAX_TRANSPARENT {
            assert!(retry.pause_after(&status));
        }
        assert!(!retry.pause_after(&status), "not for ever");
        let other = RpcStatus::new(RpcStatusCode::UNAVAILABLE);
        assert!(!Retry::new(0, None).pause_after(&other));
    }

    #[test]
    fn a_cancellation_at_the_deadline_counts_as_the_deadline() {
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
