//! Latencies and statuses of calls, as the driver receives them. It measures nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use grpcio::RpcStatusCode;

use crate::histogram::{Histogram, Scale};
use crate::proto::worker::{ClientStats, RequestResultCount};

#[derive(Clone)]
pub struct Recorder {
    latencies: Histogram,
    /// Ended calls by status code.
    ended: BTreeMap<i32, i64>,
}

impl Recorder {
    pub fn new(scale: Scale) -> Recorder {
        Recorder {
            latencies: Histogram::new(scale),
            ended: BTreeMap::new(),
        }
    }

    pub fn response(&mut self, latency: Duration) {
        self.latencies.record(latency.as_nanos() as f64);
    }

    pub fn end(&mut self, code: RpcStatusCode) {
        *self.ended.entry(code.into()).or_default() += 1;
    }

    /// Adds what another one with the same scale has recorded.
    pub fn add(&mut self, other: &Recorder) {
        self.latencies.add(&other.latencies);
        for (code, count) in &other.ended {
            *self.ended.entry(*code).or_default() += count;
        }
    }

    /// The statistics, without times.
    pub fn stats(&self) -> ClientStats {
        let mut stats = ClientStats::new();
        stats.set_latencies(self.latencies.data());
        for (&status_code, &count) in &self.ended {
            stats.request_results.push(RequestResultCount {
                status_code,
                count,
                ..RequestResultCount::default()
            });
        }
        stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_added_up() {
        let scale = Scale::new(0.01, 60e9).unwrap();
        let mut total = Recorder::new(scale);
        for micros in [1, 2] {
            let mut caller = Recorder::new(scale);
            caller.response(Duration::from_micros(micros));
            caller.end(RpcStatusCode::OK);
            caller.end(RpcStatusCode::UNAVAILABLE);
            total.add(&caller);
        }
        let stats = total.stats();
        assert_eq!(stats.get_latencies().count, 2.0);
        assert_eq!(stats.get_latencies().sum, 3_000.0);
        let results = stats.request_results.iter();
        let results: Vec<_> = results.map(|row| (row.status_code, row.count)).collect();
        assert_eq!(results, [(0, 2), (14, 2)]);
    }
}
