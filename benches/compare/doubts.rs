//! Doubtful results: two programs that share a library, or a language with its helper code, differ
//! by an order of magnitude, and nothing says why. A program's own mistake looks like that.

use crate::analysis::{program, Contest, Results};
use crate::metric::{Metric, P50, P99};
use crate::units;
use crate::workload::Workload;

/// An order of magnitude.
const FACTOR: f64 = 10.0;

/// What programs share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    CCore,
    /// The h2 library.
    H2,
    /// The language, and the code in `common_rust`.
    Rust,
}

/// The families of an implementation.
fn families(implementation: &str) -> &'static [Family] {
    use Family::{CCore, Rust, H2};
    match program(implementation) {
        "tonic" | "connectrpc" => &[H2, Rust],
        "grpc-rs" => &[Rust],
        "fanstream" | "fanstream-direct" | "naive" => &[CCore, Rust],
        "python" => &[CCore],
        name if name.starts_with("cpp-") || name.starts_with("ccore") => &[CCore],
        _ => &[],
    }
}

/// A reason for a difference, of every program with one of the names.
struct Stated {
    /// Without the suffix of a release build.
    implementations: &'static [&'static str],
    /// Empty: all.
    workloads: &'static [Workload],
    why: &'static str,
}

const STATED: &[Stated] = &[
    Stated {
        implementations: &["naive"],
        workloads: &[],
        why: "it has threads for each call, and a blocking send for each message",
    },
    Stated {
        implementations: &["python"],
        workloads: &[],
        why: "it is interpreted",
    },
    Stated {
        implementations: &["cpp-sync", "cpp-callback"],
        workloads: &[],
        why: "it writes each message by itself, without the buffer hint",
    },
    Stated {
        implementations: &["cpp-sync", "cpp-sync-hinted"],
        workloads: &[Workload::Timed],
        why: "it has a thread for each open stream",
    },
    Stated {
        implementations: &["grpc-rs"],
        workloads: &[],
        why: "it writes each message by itself, and queues what the client has not taken",
    },
    Stated {
        implementations: &["ccore-framed"],
        workloads: &[
            Workload::Tiny,
            Workload::Arena,
            Workload::Streams,
            Workload::Sizes,
        ],
        why: "it has no threads, and small messages pass the C-core together",
    },
    Stated {
        implementations: &["fanstream"],
        workloads: &[
            Workload::Tiny,
            Workload::Arena,
            Workload::Streams,
            Workload::Sizes,
        ],
        why: "small messages pass the C-core together",
    },
    Stated {
        implementations: &["fanstream"],
        workloads: &[Workload::Bulk],
        why: "the C-core opens windows of megabytes, and a client with a thread for the caller lets them \
              fill, as gRPC C++'s synchronous one does",
    },
];

/// The stated reason for a program's distance from its relatives.
fn stated(implementation: &str, workload: Workload) -> Option<&'static str> {
    let name = program(implementation);
    let fits = |stated: &&Stated| {
        stated.implementations.contains(&name)
            && (stated.workloads.is_empty() || stated.workloads.contains(&workload))
    };
    STATED.iter().find(fits).map(|stated| stated.why)
}

/// A result that nobody should quote before somebody has looked for the reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    pub contest: Contest,
    pub metric: Metric,
    /// The worse of the two.
    pub implementation: String,
    pub than: String,
    /// How many times worse.
    pub times: f64,
}

impl Doubt {
    pub fn text(&self) -> String {
        let times = units::number(self.times);
        let times = match self.metric.higher_is_better() {
            true => format!("1/{times} of"),
            false => format!("{times} times"),
        };
        format!(
            "{} ({}s), {}: {} has {times} the figure of {}, its relative, and no reason is stated.",
            self.contest.1,
            self.contest.0,
            self.metric.name(),
            self.implementation,
            self.than,
        )
    }
}

/// The doubts of all contests.
pub fn all(results: &Results) -> Vec<Doubt> {
    let contests = results.contests().into_iter();
    contests.flat_map(|contest| of(results, contest)).collect()
}

/// The doubts of a contest: one for each implementation and metric, beside its best relative.
pub fn of(results: &Results, contest: Contest) -> Vec<Doubt> {
    let (role, case) = contest;
    let mut metrics = Metric::of(case.workload, role);
    metrics.retain(|metric| is_judged(*metric));
    let mut doubts = Vec::new();
    for metric in metrics {
        let mut unexplained = results.ranking(contest, metric);
        unexplained.retain(|(name, _)| stated(name, case.workload).is_none());
        for (implementation, estimate) in &unexplained {
            let mut relatives = unexplained.iter();
            let is_relative = |(name, _): &&(&str, _)| {
                let own = families(implementation);
                families(name).iter().any(|family| own.contains(family))
            };
            let Some((than, best)) = relatives.find(is_relative) else {
                continue;
            };
            let times = match metric.higher_is_better() {
                true => best.median / estimate.median,
                false => estimate.median / best.median,
            };
            if times >= FACTOR {
                doubts.push(Doubt {
                    contest,
                    metric,
                    implementation: implementation.to_string(),
                    than: than.to_string(),
                    times,
                });
            }
        }
    }
    doubts
}

/// Rare latencies and counts of threads vary by more, for no reason of a program's.
fn is_judged(metric: Metric) -> bool {
    match metric {
        Metric::First(quantile) | Metric::Gap(quantile) | Metric::Late(quantile) => {
            quantile == P50 || quantile == P99
        }
        Metric::ServerThreads => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::results;
    use crate::latencies::Latencies;
    use crate::record::tests::run;
    use crate::record::Run;

    /// A server's times to the first response.
    fn first(implementation: &str, micros: i64) -> Run {
        let mut run = run(implementation, 0, 1);
        run.case.workload = Workload::First;
        if let Some(measured) = &mut run.measured {
            measured.first = Latencies::of(&[micros]).expect("in range");
        }
        run
    }

    #[test]
    fn a_relative_that_is_ten_times_as_fast_raises_a_doubt() {
        // What helper code once did: both waited for a timer that rounds up.
        let runs = [
            first("fanstream", 95),
            first("tonic", 1_166),
            first("connectrpc", 1_249),
            first("java", 9_000),
        ];
        let doubts = all(&results(runs.into()));
        let p50 = doubts
            .iter()
            .filter(|doubt| doubt.metric == Metric::First(P50));
        let pairs: Vec<_> = p50
            .map(|doubt| (&*doubt.implementation, &*doubt.than))
            .collect();
        assert_eq!(pairs, [("tonic", "fanstream"), ("connectrpc", "fanstream")]);
        let text = doubts[0].text();
        assert!(
            text.starts_with("first (servers), first response p50: tonic has 12.3 times"),
            "{text}"
        );
    }

    #[test]
    fn a_lower_rate_is_a_part_of_its_relatives() {
        let mut slow = run("tonic", 0, 1);
        if let Some(measured) = &mut slow.measured {
            measured.seconds *= 20.0;
        }
        let doubts = all(&results(vec![slow, run("connectrpc", 0, 1)]));
        let rate = doubts.iter().find(|doubt| doubt.metric == Metric::Messages);
        let text = rate.expect("a doubt").text();
        assert!(
            text.contains("tonic has 1/20.0 of the figure of connectrpc"),
            "{text}"
        );
    }

    #[test]
    fn a_stated_reason_is_no_doubt() {
        let runs = [first("fanstream", 95), first("naive", 2_000)];
        assert_eq!(all(&results(runs.into())), []);
    }

    #[test]
    fn a_small_difference_is_no_doubt() {
        let runs = [first("tonic", 60), first("connectrpc", 90)];
        assert_eq!(all(&results(runs.into())), []);
    }
}
