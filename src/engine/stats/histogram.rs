//! A histogram of durations with fixed bounds. It knows nothing of metrics formats.

use std::time::Duration;

/// The upper bounds of the buckets, in seconds: from a wake-up to a stream of an hour.
pub const BOUNDS: [f64; 21] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0,
];

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct HistogramSnapshot {
    /// Durations up to the bound of the same index and above the previous bound. The last bucket,
    /// beyond [`BOUNDS`], counts all longer ones.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// The sum of all durations, in seconds.
    pub seconds: f64,
}

impl HistogramSnapshot {
    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(in crate::engine) fn record(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        self.seconds += seconds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let mut snapshot = HistogramSnapshot::default();
        for ms in [0, 1, 2, 5_000, 4_000_000] {
            snapshot.record(Duration::from_millis(ms));
        }
        let of = |bound: f64| snapshot.buckets[BOUNDS.iter().position(|b| *b == bound).unwrap()];
        assert_eq!(of(0.0001), 1);
        assert_eq!(of(0.001), 1);
        assert_eq!(of(0.0025), 1);
        assert_eq!(of(5.0), 1);
        assert_eq!(snapshot.buckets[BOUNDS.len()], 1);
        assert_eq!(snapshot.count(), 5);
        assert!((snapshot.seconds - 4005.003).abs() < 1e-9);
    }
}
