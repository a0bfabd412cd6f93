//! The data that the client prints: a response, and the summary of a run. It must not know formats.

use std::time::Duration;

/// A response to print.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// The id of the request.
    pub(super) id: i32,
    /// Responses to the same request before this one.
    pub(super) sequence: u64,
    /// Time since the request.
    pub(super) elapsed: Duration,
    /// The text of the response.
    pub(super) result: &'a str,
}

/// The responses of one call or of several, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Number of responses.
    pub(super) responses: u64,
    /// Bytes of their results.
    pub(super) bytes: u64,
    /// Time to the first response; of several calls the shortest.
    pub(super) first: Option<Duration>,
}

impl Totals {
    /// Adds the responses of another call.
    pub(super) fn add(&mut self, other: Totals) {
        self.responses += other.responses;
        self.bytes += other.bytes;
        self.first = self.first.into_iter().chain(other.first).min();
    }
}

/// The result of a run.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    /// All responses.
    pub(super) totals: Totals,
    /// Time since the start of the program.
    pub(super) duration: Duration,
    /// Name of the status of the first failure, else `OK`.
    pub(super) status: String,
}

/// Rounded to microseconds, the precision of these measurements.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up() {
        let mut all = Totals::default();
        all.add(Totals::default());
        assert_eq!(all.first, None);
        let first = Duration::from_micros(1_200);
        let of_a_call = |first| Totals {
            responses: 5,
            bytes: 105,
            first: Some(first),
        };
        all.add(of_a_call(first));
        all.add(of_a_call(Duration::from_secs(1)));
        assert_eq!((all.responses, all.bytes), (10, 210));
        assert_eq!(all.first, Some(first));
    }
}
