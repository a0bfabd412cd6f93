//! The histogram of gRPC's benchmark: bucket n holds the values from m to the power of n up to the
//! next power, where m is 1 plus the resolution. Drivers merge the buckets of several clients, so
//! their number must be exactly this.

use crate::proto::worker::HistogramData;

/// The most buckets of a scale; gRPC's scenarios need 2,495.
const MAX_BUCKETS: usize = 1_000_000;

/// The limits of the buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    per_log: f64,
    max_possible: f64,
    buckets: usize,
}

impl Scale {
    /// Returns `None` if there are no such buckets, or too many.
    pub fn new(resolution: f64, max_possible: f64) -> Option<Scale> {
        let is_usable = resolution > 0.0 && max_possible > 1.0 && max_possible.is_finite();
        let per_log = 1.0 / (1.0 + resolution).ln();
        // A cast of infinity is the largest number.
        let buckets = (max_possible.ln() * per_log) as usize;
        (is_usable && (1..MAX_BUCKETS).contains(&buckets)).then_some(Scale {
            per_log,
            max_possible,
            buckets: buckets + 1,
        })
    }

    fn bucket(&self, value: f64) -> usize {
        (value.clamp(1.0, self.max_possible).ln() * self.per_log) as usize
    }
}

#[derive(Clone)]
pub struct Histogram {
    scale: Scale,
    buckets: Vec<u32>,
    min_seen: f64,
    max_seen: f64,
    sum: f64,
    sum_of_squares: f64,
    count: f64,
}

impl Histogram {
    pub fn new(scale: Scale) -> Histogram {
        Histogram {
            scale,
            buckets: vec![0; scale.buckets],
            min_seen: scale.max_possible,
            max_seen: 0.0,
            sum: 0.0,
            sum_of_squares: 0.0,
            count: 0.0,
        }
    }

    pub fn record(&mut self, value: f64) {
        self.buckets[self.scale.bucket(value)] += 1;
        self.min_seen = self.min_seen.min(value);
        self.max_seen = self.max_seen.max(value);
        self.sum += value;
        self.sum_of_squares += value * value;
        self.count += 1.0;
    }

    /// Adds the values of another one with the same scale.
    pub fn add(&mut self, other: &Histogram) {
        for (own, others) in self.buckets.iter_mut().zip(&other.buckets) {
            *own = own.saturating_add(*others);
        }
        self.min_seen = self.min_seen.min(other.min_seen);
        self.max_seen = self.max_seen.max(other.max_seen);
        self.sum += other.sum;
        self.sum_of_squares += other.sum_of_squares;
        self.count += other.count;
    }

    pub fn data(&self) -> HistogramData {
        let mut data = HistogramData::new();
        data.bucket.clone_from(&self.buckets);
        data.min_seen = self.min_seen;
        data.max_seen = self.max_seen;
        data.sum = self.sum;
        data.sum_of_squares = self.sum_of_squares;
        data.count = self.count;
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grpc() -> Scale {
        Scale::new(0.01, 60e9).unwrap()
    }

    #[test]
    fn values_are_in_the_bucket_below_them() {
        let mut histogram = Histogram::new(grpc());
        for value in [0.0, 1.0, 1.02, 1_000.0, 60e9, 1e12] {
            histogram.record(value);
        }
        let data = histogram.data();
        // The driver in C++ ends if there are more or fewer.
        assert_eq!(data.bucket.len(), 2_495);
        let filled = data
            .bucket
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        let filled: Vec<_> = filled.map(|(bucket, count)| (bucket, *count)).collect();
        assert_eq!(filled, [(0, 2), (1, 1), (694, 1), (2_494, 2)]);
        assert_eq!((data.min_seen, data.max_seen), (0.0, 1e12));
        assert_eq!(data.count, 6.0);
    }

    #[test]
    fn unusable_scales() {
        for (resolution, max_possible) in [
            (0.0, 60e9),
            (-0.5, 60e9),
            (f64::NAN, 60e9),
            (1e-9, 60e9),
            (0.01, 1.0),
            (0.01, f64::INFINITY),
            (0.01, f64::NAN),
        ] {
            assert_eq!(Scale::new(resolution, max_possible), None);
        }
    }
}
