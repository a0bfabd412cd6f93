//! Decides whether and when to retry: exponential backoff with full jitter, limited by a number of
//! retries and by deadlines. A call that the server has not processed is retried in any case, as gRPC
//! prescribes (gRFC A6, transparent retries). It must not know the operation.
//!
//! | a call without a response ends with | retried |
//! | --- | --- |
//! | REFUSED_STREAM | once at once, not counted; then after a delay |
//! | a GOAWAY that does not include it | five times at once, not counted |
//! | the server's UNAVAILABLE or RESOURCE_EXHAUSTED | after a delay |
//! | a broken stream or connection, or a proxy's error | after a delay |
//! | a proxy's 401, 403 or 404 | never |
//! | any other status of the server, or of this side | never |

use std::thread;
use std::time::{Duration, Instant};

use grpcio::RpcStatusCode;

use crate::engine::{CallStatus, ReceiveError, StatusOrigin};

/// Maximum of the first delay.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
/// Maximum of any delay.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Maximum of transparent retries of a call that its server has refused, and of one that no server
/// has seen.
const MAX_REFUSED: u32 = 1;
const MAX_UNSENT: u32 = 5;

/// A server may cancel a call at its deadline, and its clock may be this much ahead. A cancellation
/// this close to the deadline counts as the deadline.
const MAX_CLOCK_SKEW: Duration = Duration::from_millis(10);

/// The remaining retries and their backoff.
#[derive(Debug)]
pub(super) struct Retry {
    left: u32,
    refused_left: u32,
    unsent_left: u32,
    /// Retries so far, without transparent ones.
    attempts: u32,
    /// Maximum of the next delay. Each retry doubles it.
    ceiling: Duration,
    /// No retry starts after it, and no pause begins that would outlast it.
    deadline: Option<Instant>,
}

impl Retry {
    pub(super) fn new(retries: u32, deadline: Option<Instant>) -> Retry {
        Retry {
            left: retries,
            refused_left: MAX_REFUSED,
            unsent_left: MAX_UNSENT,
            attempts: 0,
            ceiling: INITIAL_BACKOFF,
            deadline,
        }
    }

    /// Adds a deadline: the earlier one counts.
    pub(super) fn end_by(&mut self, deadline: Option<Instant>) {
        self.deadline = self.deadline.into_iter().chain(deadline).min();
    }

    /// Blocks until the next retry is due. Returns false at once if no retry is left in time.
    pub(super) fn pause(&mut self) -> bool {
        self.delay().map(thread::sleep).is_some()
    }

    /// Returns the time until the next retry after a call ended with `status`, or `None` if it must
    /// not be retried.
    pub(super) fn delay_after(&mut self, status: &CallStatus) -> Option<Duration> {
        let is_late = time_left(self.deadline).is_some_and(|left| left.is_zero());
        let left = match status.origin() {
            StatusOrigin::Refused => Some(&mut self.refused_left),
            StatusOrigin::Unsent => Some(&mut self.unsent_left),
            _ => None,
        };
        if let Some(left) = left.filter(|left| **left > 0 && !is_late) {
            *left -= 1;
            return Some(Duration::ZERO);
        }
        match is_retryable(status) {
            true => self.delay(),
            false => None,
        }
    }

    /// Returns the time until the next retry, or `None` if none is left in time.
    pub(super) fn delay(&mut self) -> Option<Duration> {
        let delay = self.next_delay()?;
        self.attempts += 1;
        Some(delay)
    }

    /// The attempts before the current one, for the header that tells the server.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
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
fn is_retryable(status: &CallStatus) -> bool {
    match status.origin() {
        StatusOrigin::Server => [
            RpcStatusCode::UNAVAILABLE,
            RpcStatusCode::RESOURCE_EXHAUSTED,
        ]
        .contains(&status.code()),
        // A proxy that refuses the call will refuse the next one too.
        StatusOrigin::Transport => ![
            RpcStatusCode::UNAUTHENTICATED,
            RpcStatusCode::PERMISSION_DENIED,
            RpcStatusCode::UNIMPLEMENTED,
        ]
        .contains(&status.code()),
        StatusOrigin::Refused | StatusOrigin::Unsent => true,
        StatusOrigin::Client => false,
    }
}

/// Returns true if a stream that has ended with this error may go on in another call: whenever it
/// would be retried, and if the server or this side gave up waiting.
pub(super) fn is_loss(error: &ReceiveError) -> bool {
    match error {
        ReceiveError::IdleTimeout(_) => true,
        ReceiveError::Status(status) => {
            let is_cancelled = status.code() == RpcStatusCode::CANCELLED;
            is_retryable(status) || is_cancelled && status.origin() == StatusOrigin::Server
        }
        _ => false,
    }
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
pub(super) fn status_at_deadline(status: CallStatus, deadline: Option<Instant>) -> CallStatus {
    match deadline_cancelled(&status, deadline) {
        true => CallStatus::local(RpcStatusCode::DEADLINE_EXCEEDED, ""),
        false => status,
    }
}

fn deadline_cancelled(status: &CallStatus, deadline: Option<Instant>) -> bool {
    status.code() == RpcStatusCode::CANCELLED
        && time_left(deadline).is_some_and(|left| left <= MAX_CLOCK_SKEW)
}

#[cfg(test)]
mod tests {
    use grpcio::RpcStatus;

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
    fn the_earlier_deadline_counts() {
        let after = |seconds| deadline_after(Some(Duration::from_secs(seconds)));
        let mut retry = Retry::new(9, after(60));
        retry.end_by(None);
        assert!(retry.delay().is_some());
        retry.end_by(after(0));
        retry.end_by(after(30));
        assert_eq!(retry.delay(), None);
        assert_eq!(retry.attempts(), 1);
    }

    #[test]
    fn a_limit_beyond_the_clocks_range_is_no_deadline() {
        assert_eq!(deadline_after(Some(Duration::MAX)), None);
        assert_eq!(time_left(None), None);
    }

    #[test]
    fn a_call_that_the_server_has_not_processed_is_retried_at_once() {
        let unavailable = |text: &str, why: &str| {
            let (code, text) = (RpcStatusCode::UNAVAILABLE, text.to_owned());
            let status = RpcStatus::with_details_and_error_string;
            CallStatus::from(status(code, text, Vec::new(), why.to_owned()))
        };
        let unsent = unavailable("GOAWAY received; Error code: 0; Debug Text: ", "");
        let refused = unavailable("Received RST_STREAM with error code 7", "");
        let mut retry = Retry::new(0, None);
        for _ in 0..MAX_UNSENT {
            assert!(retry.delay_after(&unsent).is_some());
        }
        assert!(retry.delay_after(&unsent).is_none(), "not for ever");
        assert!(retry.delay_after(&refused).is_some());
        assert!(retry.delay_after(&refused).is_none(), "once");
        assert_eq!(retry.attempts(), 0, "they do not count");
        assert!(
            retry.delay_after(&unavailable("", "")).is_none(),
            "no retries"
        );
        let mut late = Retry::new(9, deadline_after(Some(Duration::ZERO)));
        assert!(late.delay_after(&unsent).is_none() && late.delay_after(&refused).is_none());
    }

    #[test]
    fn a_proxy_that_refuses_a_call_is_not_asked_again() {
        let page = |code, status| {
            let text = format!("Received http2 header with status: {status}");
            CallStatus::from(RpcStatus::with_message(code, text))
        };
        assert!(!is_retryable(&page(RpcStatusCode::UNAUTHENTICATED, 401)));
        assert!(!is_retryable(&page(RpcStatusCode::PERMISSION_DENIED, 403)));
        assert!(!is_retryable(&page(RpcStatusCode::UNIMPLEMENTED, 404)));
        assert!(is_retryable(&page(RpcStatusCode::UNAVAILABLE, 502)));
        assert!(is_retryable(&page(RpcStatusCode::UNKNOWN, 500)));
    }

    #[test]
    fn a_status_of_the_server_is_final_and_a_broken_stream_is_not() {
        const RESET: &str = "Received RST_STREAM with error code 2";
        let internal = |text: &str, why: &str| {
            let (code, text) = (RpcStatusCode::INTERNAL, text.to_owned());
            let status = RpcStatus::with_details_and_error_string;
            CallStatus::from(status(code, text, Vec::new(), why.to_owned()))
        };
        let peers = "UNKNOWN:Error received from peer ipv4:127.0.0.1:1";
        assert!(!is_retryable(&internal("why", peers)));
        assert!(
            !is_retryable(&internal(RESET, peers)),
            "it may say anything"
        );
        assert!(is_retryable(&internal(RESET, "")));
        assert!(!is_retryable(&internal("cannot decompress", "")));
        let mut retry = Retry::new(1, None);
        assert!(retry.delay_after(&internal(RESET, "")).is_some());
        assert_eq!(retry.attempts(), 1);
    }

    #[test]
    fn a_stream_goes_on_after_a_loss_and_not_after_an_answer() {
        let loss = |code, text: &str, why: &str| {
            let status = RpcStatus::with_details_and_error_string;
            let status = status(code, text.into(), Vec::new(), why.into());
            is_loss(&ReceiveError::Status(status.into()))
        };
        let peers = "UNKNOWN:Error received from peer ipv4:127.0.0.1:1";
        assert!(loss(RpcStatusCode::UNAVAILABLE, "draining", peers));
        assert!(loss(RpcStatusCode::CANCELLED, "by the server", peers));
        assert!(loss(RpcStatusCode::UNAVAILABLE, "Socket closed", ""));
        let reset = "Received RST_STREAM with error code 2";
        assert!(loss(RpcStatusCode::INTERNAL, reset, ""));
        assert!(loss(RpcStatusCode::UNKNOWN, "Stream removed", ""));
        assert!(!loss(RpcStatusCode::INTERNAL, "a panic", peers));
        assert!(!loss(RpcStatusCode::DATA_LOSS, "", peers));
        assert!(!loss(RpcStatusCode::DEADLINE_EXCEEDED, "", ""));
        assert!(!loss(RpcStatusCode::RESOURCE_EXHAUSTED, "too large", ""));
        assert!(is_loss(&ReceiveError::IdleTimeout(Duration::ZERO)));
        assert!(!is_loss(&ReceiveError::FirstTimeout(Duration::ZERO)));
    }

    #[test]
    fn a_cancellation_at_the_deadline_counts_as_the_deadline() {
        let cancelled = CallStatus::local(RpcStatusCode::CANCELLED, "");
        let soon = |limit| deadline_after(Some(limit));
        assert!(deadline_cancelled(&cancelled, soon(Duration::ZERO)));
        assert!(!deadline_cancelled(
            &cancelled,
            soon(Duration::from_secs(60))
        ));
        assert!(!deadline_cancelled(&cancelled, None));
        let other = CallStatus::local(RpcStatusCode::ABORTED, "");
        assert!(!deadline_cancelled(&other, soon(Duration::ZERO)));
    }
}
