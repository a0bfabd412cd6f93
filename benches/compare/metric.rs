//! The metrics: each computes one number from a repetition and has a unit and a direction.

use crate::pair::Measured;
use crate::workload::{Role, Workload};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    ServerCpu,
    ClientCpu,
    ServerCpuOfCall,
    ClientCpuOfCall,
    ServerInstructions,
    ClientInstructions,
    Messages,
    Calls,
    Megabytes,
    ServerMemory,
    ServerMemoryOfStream,
    ClientMemory,
    ServerThreads,
    First(Quantile),
    Gap(Quantile),
    Late(Quantile),
}

/// A quantile, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantile(u16);

pub const P50: Quantile = Quantile(500);
pub const P99: Quantile = Quantile(990);
pub const P999: Quantile = Quantile(999);

impl Quantile {
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1e3
    }

    fn name(self) -> String {
        format!("p{}", f64::from(self.0) / 10.0)
    }
}

impl Metric {
    /// The metrics of a workload, the most important first.
    pub fn of(workload: Workload, role: Role) -> Vec<Metric> {
        use Metric::*;
        let quantiles = |metric: fn(Quantile) -> Metric| [P50, P99, P999].map(metric);
        match (workload, role) {
            (Workload::Tiny | Workload::Arena | Workload::Streams, Role::Server) => {
                vec![ServerCpu, Messages, ServerMemory, ServerInstructions]
            }
            // A message is a call.
            (Workload::Unary, Role::Server) => {
                vec![Calls, ServerCpuOfCall, ServerMemory, ServerInstructions]
            }
            (Workload::Short, Role::Server) => {
                vec![
                    Calls,
                    ServerCpuOfCall,
                    ServerCpu,
                    ServerMemory,
                    ServerInstructions,
                ]
            }
            (Workload::Bulk | Workload::Sizes | Workload::Slow, Role::Server) => {
                vec![Megabytes, ServerCpu, ServerMemory, ServerInstructions]
            }
            (Workload::Timed, _) => {
                vec![
                    ServerMemory,
                    ServerMemoryOfStream,
                    ServerThreads,
                    Late(P50),
                    Late(P99),
                    Late(P999),
                    ServerCpuOfCall,
                ]
            }
            (Workload::First, _) => {
                let mut metrics = quantiles(First).to_vec();
                metrics.extend(quantiles(Gap));
                metrics.push(ServerCpuOfCall);
                metrics
            }
            (Workload::Short, Role::Client) => {
                vec![
                    Calls,
                    ClientCpuOfCall,
                    ClientCpu,
                    ClientMemory,
                    ClientInstructions,
                ]
            }
            (Workload::Bulk, Role::Client) => {
                vec![Megabytes, ClientCpu, ClientMemory, ClientInstructions]
            }
            (_, Role::Client) => vec![ClientCpu, Messages, ClientMemory, ClientInstructions],
        }
    }

    /// The metrics of a workload that varies a parameter; empty for others.
    pub fn of_curve(workload: Workload) -> &'static [Metric] {
        match workload {
            Workload::Sizes => &[Metric::ServerCpu, Metric::Megabytes],
            Workload::Streams => &[Metric::ServerCpu, Metric::Messages],
            Workload::Timed => &[Metric::ServerMemoryOfStream],
            _ => &[],
        }
    }

    /// The metric of the workload's bar chart: the cost, where the most important metric is a rate.
    pub fn pictured(workload: Workload, role: Role) -> Metric {
        match (workload, role) {
            (Workload::Timed, _) => Metric::ServerMemory,
            (Workload::First, _) => Metric::First(P99),
            (Workload::Unary, Role::Server) => Metric::ServerCpuOfCall,
            (_, Role::Server) => Metric::ServerCpu,
            (_, Role::Client) => Metric::ClientCpu,
        }
    }

    pub fn name(self) -> String {
        match self {
            Metric::ServerCpu => "server CPU per message".into(),
            Metric::ClientCpu => "client CPU per message".into(),
            Metric::ServerCpuOfCall => "server CPU per stream".into(),
            Metric::ClientCpuOfCall => "client CPU per stream".into(),
            Metric::ServerInstructions => "server instructions per message".into(),
            Metric::ClientInstructions => "client instructions per message".into(),
            Metric::Messages => "messages".into(),
            Metric::Calls => "streams".into(),
            Metric::Megabytes => "payload".into(),
            Metric::ServerMemory => "server memory, peak".into(),
            Metric::ServerMemoryOfStream => "server memory per open stream".into(),
            Metric::ClientMemory => "client memory, peak".into(),
            Metric::ServerThreads => "server threads, peak".into(),
            Metric::First(quantile) => format!("first response {}", quantile.name()),
            Metric::Gap(quantile) => format!("gap {}", quantile.name()),
            Metric::Late(quantile) => format!("lateness {}", quantile.name()),
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Metric::ServerCpu | Metric::ClientCpu => "µs",
            Metric::ServerCpuOfCall | Metric::ClientCpuOfCall => "µs",
            Metric::ServerInstructions | Metric::ClientInstructions => "",
            Metric::Messages | Metric::Calls => "/s",
            Metric::Megabytes => "MB/s",
            Metric::ServerMemory | Metric::ClientMemory => "MB",
            Metric::ServerMemoryOfStream => "KB",
            Metric::ServerThreads => "",
            Metric::First(_) | Metric::Gap(_) => "µs",
            Metric::Late(_) => "ms",
        }
    }

    /// The name with its unit, for the head of a column.
    pub fn heading(self) -> String {
        match self.unit() {
            "" => self.name(),
            "/s" => format!("{}/s", self.name()),
            unit => format!("{}, {unit}", self.name()),
        }
    }

    pub fn higher_is_better(self) -> bool {
        matches!(self, Metric::Messages | Metric::Calls | Metric::Megabytes)
    }

    /// `None` if the repetition lacks the number.
    pub fn value(self, run: &Measured) -> Option<f64> {
        let (messages, calls) = (run.messages as f64, run.calls as f64);
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        Some(match self {
            Metric::ServerCpu => micros(run.server.cpu_ns) / messages,
            Metric::ClientCpu => micros(run.client.cpu_ns) / messages,
            Metric::ServerCpuOfCall => micros(run.server.cpu_ns) / calls,
            Metric::ClientCpuOfCall => micros(run.client.cpu_ns) / calls,
            Metric::ServerInstructions => run.server.instructions? as f64 / messages,
            Metric::ClientInstructions => run.client.instructions? as f64 / messages,
            Metric::Messages => messages / run.seconds,
            Metric::Calls => calls / run.seconds,
            Metric::Megabytes => megabytes(run.bytes) / run.seconds,
            Metric::ServerMemory => megabytes(run.server.peak_memory),
            // All calls are open at once.
            Metric::ServerMemoryOfStream => run.server.peak_memory as f64 / 1e3 / calls,
            Metric::ClientMemory => megabytes(run.client.peak_memory),
            Metric::ServerThreads => run.server.threads as f64,
            Metric::First(quantile) => run.first.as_ref()?.quantile(quantile.fraction()),
            Metric::Gap(quantile) => run.gap.as_ref()?.quantile(quantile.fraction()),
            Metric::Late(quantile) => run.late.as_ref()?.quantile(quantile.fraction()) / 1e3,
        })
    }
}

/// The share of the time that server and client each kept a core busy.
pub fn busy(run: &Measured) -> (f64, f64) {
    let share = |nanos: u64| nanos as f64 / run.wall_ns as f64;
    (share(run.server.cpu_ns), share(run.client.cpu_ns))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::cost::Cost;
    use crate::latencies::Latencies;

    /// A repetition with known numbers.
    pub fn measured(server_cpu_ns: u64, client_cpu_ns: u64) -> Measured {
        let cost = |cpu_ns, peak_memory| Cost {
            cpu_ns,
            instructions: None,
            idle_memory: 1_000_000,
            peak_memory,
            threads: 7,
        };
        Measured {
            calls: 10,
            messages: 1_000,
            bytes: 64_000_000,
            seconds: 0.5,
            wall_ns: 1_000_000_000,
            server: cost(server_cpu_ns, 20_000_000),
            client: cost(client_cpu_ns, 30_000_000),
            first: None,
            gap: None,
            late: Latencies::of(&[1_000, 2_000, 3_000]).expect("in range"),
        }
    }

    #[test]
    fn units() {
        let run = measured(2_000_000, 3_000_000);
        let expected = [
            (Metric::ServerCpu, 2.0),
            (Metric::ClientCpu, 3.0),
            (Metric::ServerCpuOfCall, 200.0),
            (Metric::Messages, 2_000.0),
            (Metric::Calls, 20.0),
            (Metric::Megabytes, 128.0),
            (Metric::ServerMemory, 20.0),
            (Metric::ServerMemoryOfStream, 2_000.0),
            (Metric::ClientMemory, 30.0),
            (Metric::ServerThreads, 7.0),
        ];
        for (metric, value) in expected {
            assert_eq!(metric.value(&run), Some(value), "{metric:?}");
        }
        let late = Metric::Late(P50).value(&run).expect("some");
        assert!((late - 2.0).abs() < 0.01, "{late} ms");
        assert_eq!(Metric::First(P99).value(&run), None);
        assert_eq!(Metric::ServerInstructions.value(&run), None);
        let mut counted = run;
        counted.server.instructions = Some(5_000_000);
        assert_eq!(Metric::ServerInstructions.value(&counted), Some(5_000.0));
    }

    #[test]
    fn a_core_kept_busy() {
        assert_eq!(busy(&measured(250_000_000, 1_000_000_000)), (0.25, 1.0));
    }

    #[test]
    fn headings() {
        assert_eq!(Metric::First(P999).heading(), "first response p99.9, µs");
        assert_eq!(Metric::Messages.heading(), "messages/s");
    }
}
