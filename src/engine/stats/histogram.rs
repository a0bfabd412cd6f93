//! A histogram of durations with fixed bounds. Recording takes no lock. It knows nothing of metrics
//! formats.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in seconds: from a wake-up to a stream of an hour.
pub const BOUNDS: [f64; 21] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0,
];

/// A histogram of durations.
#[derive(Debug, Default)]
pub(in crate::engine) struct Histogram {
    /// The last bucket counts durations beyond all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

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
}

impl Histogram {
    pub(in crate::engine) fn record(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let index = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[index].fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(in crate::engine) fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            buckets: std::array::from_fn(|i| self.buckets[i].load(Ordering::Relaxed)),
            seconds: self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let histogram = Histogram::default();
        for ms in [0, 1, 2, 5_000, 4_000_000] {
            histogram.record(Duration::from_millis(ms));
        }
        let snapshot = histogram.snapshot();
        let of = |bound: f64| snapshot.buckets[BOUNDS.iter().position(|b| *b == bound).unwrap()];
        assert_eq!(of(0.0001), 1);
        assert_eq!(of(0.001), 1);
        assert_eq!(of(0.0025), 1);
        assert_eq!(of(5.0), 1);
        assert_eq!(snapshot.buckets[BOUNDS.len()], 1);
        assert_eq!(snapshot.count(), 5);
        assert_eq!(snapshot.seconds, 4005.003);
    }
}
