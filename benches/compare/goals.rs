//! The project's goals, as ratios to other implementations. It computes verdicts and draws nothing.

use crate::analysis::{is_one_of, Contest, Results, OURS};
use crate::metric::{Metric, P50, P99};
use crate::stats::Estimate;
use crate::units;
use crate::workload::{Case, Role, Workload};

/// The reference of a goal.
enum Rival {
    Implementation(&'static str),
    /// The best implementation whose name has one of these prefixes.
    Best(&'static [&'static str]),
    /// An absolute amount.
    Amount,
    /// At most this much above the best of all implementations.
    BestPlus(f64),
}

struct Goal {
    workload: Workload,
    point: Option<u64>,
    role: Role,
    metric: Metric,
    rival: Rival,
    /// The upper bound, or the lower bound if more is better.
    target: f64,
    /// An ideal: missing it is no failure.
    ideal: bool,
}

/// A goal and its measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub what: String,
    pub target: String,
    pub measured: String,
    /// `None` if figures are missing.
    pub met: Option<bool>,
    pub ideal: bool,
}

/// Everything that runs on gRPC's C-core, except for this project.
pub const C_CORE: &[&str] = &["cpp-", "ccore", "naive", "python"];

fn goals() -> Vec<Goal> {
    use Metric::{Calls, ClientCpu, Late, Megabytes, ServerCpu, ServerMemory};
    use Rival::{Amount, Best, BestPlus, Implementation};
    use Workload::{Arena, Bulk, First, Short, Timed, Tiny};
    let goal = |workload, metric, rival, target, ideal| Goal {
        workload,
        point: (workload == Timed).then_some(10_000),
        role: if metric == ClientCpu {
            Role::Client
        } else {
            Role::Server
        },
        metric,
        rival,
        target,
        ideal,
    };
    vec![
        goal(
            Tiny,
            ServerCpu,
            Implementation("cpp-sync-hinted"),
            1.0,
            false,
        ),
        goal(Tiny, ServerCpu, Implementation("cpp-sync"), 0.25, false),
        goal(Tiny, ServerCpu, Implementation("ccore"), 1.1, false),
        goal(Tiny, ServerCpu, Implementation("go"), 1.0, true),
        goal(Tiny, ClientCpu, Implementation("cpp-sync"), 1.1, false),
        goal(Tiny, ClientCpu, Implementation("go"), 1.0, true),
        goal(Short, Calls, Implementation("cpp-callback"), 1.3, false),
        goal(Short, Calls, Implementation("go"), 1.0, true),
        goal(Arena, ServerCpu, Best(&["cpp-"]), 1.0, false),
        goal(Arena, ServerCpu, Amount, 3.7, false),
        goal(Arena, ServerCpu, Implementation("go"), 1.0, true),
        goal(Bulk, Megabytes, Best(C_CORE), 0.95, false),
        goal(Bulk, Megabytes, Implementation("tonic"), 1.0, true),
        goal(Timed, ServerMemory, Implementation("go"), 1.0, false),
        goal(Timed, Late(P99), BestPlus(5.0), 5.0, false),
        goal(Timed, ServerMemory, Implementation("tonic"), 1.0, true),
        goal(
            First,
            Metric::First(P50),
            Implementation("cpp-callback"),
            1.0,
            false,
        ),
        goal(
            First,
            Metric::First(P99),
            Implementation("cpp-callback"),
            1.0,
            false,
        ),
        goal(First, Metric::First(P50), Implementation("go"), 1.0, true),
        goal(First, Metric::First(P99), Implementation("go"), 1.0, true),
    ]
}

/// The outcomes for all measured workloads.
pub fn outcomes(results: &Results) -> Vec<Outcome> {
    let contests = results.contests();
    let wanted = goals()
        .into_iter()
        .filter(|goal| contests.contains(&goal.contest()));
    wanted.map(|goal| goal.outcome(results)).collect()
}

impl Goal {
    fn contest(&self) -> Contest {
        let case = Case {
            workload: self.workload,
            tls: false,
            point: self.point,
        };
        (self.role, case)
    }

    fn outcome(&self, results: &Results) -> Outcome {
        let (contest, metric) = (self.contest(), self.metric);
        let others = results
            .ranking(contest, metric)
            .into_iter()
            .filter(|(implementation, _)| *implementation != OURS);
        let mut others = others.collect::<Vec<_>>().into_iter();
        let ratio_to = |implementation: &str| results.ratio(contest, OURS, implementation, metric);
        let own = || results.estimate(contest, OURS, metric);
        let (bound, sign) = match metric.higher_is_better() {
            true => ("at least", "≥"),
            false => ("at most", "≤"),
        };
        let times = |name: &str| format!("{sign} {} × {name}", units::number(self.target));
        let unit = metric.unit();
        let (target, figure, measured) = match self.rival {
            Rival::Implementation(name) => {
                let ratio = ratio_to(name);
                (
                    times(name),
                    ratio,
                    ratio.map(|ratio| format!("{} ×", units::estimate(&ratio))),
                )
            }
            Rival::Best(prefixes) => {
                let best = others.find(|(implementation, _)| is_one_of(implementation, prefixes));
                let name = best.map_or("the best of them", |(implementation, _)| implementation);
                let ratio = best.and_then(|(implementation, _)| ratio_to(implementation));
                (
                    times(name),
                    ratio,
                    ratio.map(|ratio| format!("{} ×", units::estimate(&ratio))),
                )
            }
            Rival::Amount => {
                let value = own();
                let target = format!("{bound} {} {unit}", units::number(self.target));
                (
                    target,
                    value,
                    value.map(|value| format!("{} {unit}", units::estimate(&value))),
                )
            }
            Rival::BestPlus(more) => {
                let best = others.next();
                let above = best.and_then(|(_, best)| Some(shifted(own()?, best.median)));
                let name = best.map_or("the best", |(implementation, _)| implementation);
                let target = format!("at most {} {unit} above {name}", units::number(more));
                (
                    target,
                    above,
                    own().map(|own| format!("{} {unit}", units::estimate(&own))),
                )
            }
        };
        Outcome {
            what: format!("{}: {}", contest.1, metric.name()),
            target,
            measured: measured.unwrap_or_else(|| "–".into()),
            met: figure.map(|figure| self.meets(figure.median)),
            ideal: self.ideal,
        }
    }

    /// Compares the value as it is printed: 1.004 counts as 1.00.
    fn meets(&self, value: f64) -> bool {
        let rounded = (value * 100.0).round() / 100.0;
        match self.metric.higher_is_better() {
            true => rounded >= self.target,
            false => rounded <= self.target,
        }
    }
}

fn shifted(estimate: Estimate, by: f64) -> Estimate {
    Estimate {
        median: estimate.median - by,
        low: estimate.low - by,
        high: estimate.high - by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::{results, twice_as_much};
    use crate::record::tests::run;

    #[test]
    fn a_goal_that_is_missed_by_a_factor() {
        let outcomes = outcomes(&twice_as_much());
        let go = outcomes
            .iter()
            .find(|outcome| outcome.target == "≤ 1.00 × go")
            .expect("a goal");
        assert_eq!(go.met, Some(false));
        assert_eq!(go.measured, "2.00 ×");
        assert!(go.ideal);
        let absent = outcomes
            .iter()
            .find(|outcome| outcome.target.ends_with("ccore"))
            .expect("a goal");
        assert_eq!((absent.met, &*absent.measured), (None, "–"));
    }

    #[test]
    fn a_goal_that_is_met() {
        let results = results(vec![run(OURS, 0, 1_000_000), run("cpp-sync", 0, 9_000_000)]);
        let outcomes = outcomes(&results);
        let goal = outcomes
            .iter()
            .find(|outcome| outcome.target == "≤ 0.25 × cpp-sync")
            .expect("a goal");
        assert_eq!((goal.met, &*goal.measured), (Some(true), "0.11 ×"));
    }

    #[test]
    fn only_what_was_measured_has_outcomes() {
        let outcomes = outcomes(&twice_as_much());
        assert!(outcomes
            .iter()
            .all(|outcome| outcome.what == "tiny: server CPU per message"));
        assert_eq!(outcomes.len(), 4);
    }
}
