//! The outcome of a scenario, computed from the statistics of both workers, as text. A response is
//! what gRPC's driver calls a query.

use std::fmt;

use fanstream::client::status_name;

use crate::proto::worker::{ClientStats, HistogramData, ServerStats};
use crate::scenario::RESOLUTION;

pub struct Outcome {
    pub server: ServerStats,
    pub client: ClientStats,
}

impl Outcome {
    /// Whether there were responses and all calls that ended were OK.
    pub fn is_complete(&self) -> bool {
        self.client.get_latencies().count > 0.0 && self.failed().next().is_none()
    }

    /// The failed calls by status code.
    fn failed(&self) -> impl Iterator<Item = (i32, i64)> + '_ {
        let results = self.client.request_results.iter();
        let failed = results.filter(|result| result.status_code != 0);
        failed.map(|result| (result.status_code, result.count))
    }
}

impl fmt::Display for Outcome {
    /// A line for each figure: name, value, unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (server, client) = (&self.server, &self.client);
        let latencies = client.get_latencies();
        let mut line =
            |name: &str, value: f64, digits: usize| writeln!(f, "{name:<28}{value:>12.digits$}");
        line("responses", latencies.count, 0)?;
        line("seconds", client.time_elapsed, 2)?;
        if latencies.count > 0.0 {
            let rate = latencies.count / client.time_elapsed;
            line("QPS (responses/s)", rate, 0)?;
            for percent in [50.0, 90.0, 99.0] {
                let name = format!("latency p{percent}, µs");
                line(&name, percentile(latencies, percent) / 1e3, 1)?;
            }
            let cpu = |user: f64, system: f64| (user + system) * 1e6 / latencies.count;
            let server_cpu = cpu(server.time_user, server.time_system);
            line("server CPU/response, µs", server_cpu, 2)?;
            let client_cpu = cpu(client.time_user, client.time_system);
            line("client CPU/response, µs", client_cpu, 2)?;
        }
        for (code, count) in self.failed() {
            line(
                &format!("failed, {}", status_name(code.into())),
                count as f64,
                0,
            )?;
        }
        Ok(())
    }
}

/// The value that `percent` of the values do not exceed, with equal values throughout a bucket.
fn percentile(data: &HistogramData, percent: f64) -> f64 {
    let wanted = data.count * percent / 100.0;
    let mut below = 0.0;
    for (n, &count) in data.bucket.iter().enumerate() {
        let count = f64::from(count);
        if count > 0.0 && below + count >= wanted {
            let start = (1.0 + RESOLUTION).powf(n as f64);
            let value = start + start * RESOLUTION * (wanted - below) / count;
            return value.clamp(data.min_seen, data.max_seen);
        }
        below += count;
    }
    data.max_seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_the_resolution() {
        let mut data = HistogramData::new();
        data.bucket = vec![0; 1_000];
        for value in 1..=1_000 {
            let bucket = f64::from(value).ln() / (1.0 + RESOLUTION).ln();
            data.bucket[bucket as usize] += 1;
        }
        data.count = 1_000.0;
        (data.min_seen, data.max_seen) = (1.0, 1_000.0);
        for (percent, expected) in [
            (50.0, 500.0),
            (90.0, 900.0),
            (99.0, 990.0),
            (100.0, 1_000.0),
        ] {
            let value = percentile(&data, percent);
            assert!((value / expected - 1.0).abs() < 0.02, "{percent}: {value}");
        }
        assert_eq!(percentile(&HistogramData::new(), 50.0), 0.0);
    }

    #[test]
    fn failed_calls_are_no_complete_outcome() {
        let mut client = ClientStats::new();
        client.mut_latencies().count = 2.0;
        let mut outcome = Outcome {
            server: ServerStats::new(),
            client,
        };
        assert!(outcome.is_complete());
        outcome.client.request_results = vec![Default::default(); 2].into();
        outcome.client.request_results[1].status_code = 14;
        outcome.client.request_results[1].count = 3;
        let text = outcome.to_string();
        assert!(
            text.ends_with("failed, UNAVAILABLE                    3\n"),
            "{text}"
        );
        assert!(!outcome.is_complete());
    }
}
