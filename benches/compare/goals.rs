//! The project's goals, as ratios to other implementations. It computes verdicts and draws nothing.

use crate::analysis::{is_one_of, Contest, Results, OURS, OURS_DIRECT, OURS_RELEASE};
use crate::metric::{Metric, P50};
use crate::stats::Estimate;
use crate::units;
use crate::workload::{Case, Role, Workload};

/// The reference of a goal.
enum Rival {
    Implementation(&'static str),
    BestOnCCore,
}

struct Goal {
    contest: Contest,
    metric: Metric,
    /// This project's everyday build, its release build, or its server with `--direct`.
    ours: &'static str,
    rival: Rival,
    /// The upper bound of the ratio, or the lower bound if more is better.
    target: f64,
}

/// A goal and its measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub what: String,
    pub target: String,
    /// `None` if figures are missing.
    pub ratio: Option<Estimate>,
    pub met: Option<bool>,
}

/// Everything that runs on gRPC's C-core, except for this project.
const C_CORE: &[&str] = &["cpp-", "ccore", "ccore-framed", "naive", "python"];

/// The best other implementation on the C-core.
pub fn best_on_ccore(results: &Results, contest: Contest, metric: Metric) -> Option<&str> {
    let ranking = results.ranking(contest, metric).into_iter();
    let mut names = ranking.map(|(implementation, _)| implementation);
    names.find(|implementation| is_one_of(implementation, C_CORE))
}

fn goals() -> Vec<Goal> {
    use Metric::{Calls, ClientCpu, First, Megabytes, ServerCpu, ServerMemory};
    use Rival::{BestOnCCore, Implementation};
    use Workload::{Arena, Bulk, Short, Timed, Tiny};
    let goal = |workload, metric, rival, target| {
        let role = match metric {
            ClientCpu => Role::Client,
            _ => Role::Server,
        };
        let case = Case {
            workload,
            tls: false,
            point: (workload == Timed).then_some(10_000),
        };
        Goal {
            contest: (role, case),
            metric,
            ours: OURS,
            rival,
            target,
        }
    };
    let of_release = |goal: Goal| Goal {
        ours: OURS_RELEASE,
        ..goal
    };
    let direct = |goal: Goal| Goal {
        ours: OURS_DIRECT,
        ..goal
    };
    let over_tls = |mut goal: Goal| {
        goal.contest.1.tls = true;
        goal
    };
    let cpp_sync_hinted = Implementation("cpp-sync-hinted");
    let cpp_callback = || Implementation("cpp-callback");
    vec![
        // Beside programs on the same C-core.
        of_release(goal(Tiny, ServerCpu, Implementation("ccore-release"), 1.15)),
        of_release(goal(Tiny, ServerCpu, Implementation("go"), 1.3)),
        goal(Tiny, ClientCpu, Implementation("cpp-sync"), 0.9),
        goal(Arena, ServerCpu, cpp_sync_hinted, 0.9),
        goal(Arena, ServerCpu, Implementation("go"), 1.0),
        goal(Short, Calls, Implementation("go"), 1.0),
        direct(goal(Short, Calls, Implementation("go"), 1.0)),
        goal(Timed, ServerMemory, Implementation("go"), 1.0),
        goal(Workload::First, First(P50), cpp_callback(), 1.0),
        // Both on the thread that reads the request.
        direct(goal(Workload::First, First(P50), cpp_callback(), 1.0)),
        goal(Bulk, Megabytes, BestOnCCore, 1.2),
        over_tls(goal(Bulk, Megabytes, BestOnCCore, 1.0)),
    ]
}

/// The outcomes for all measured workloads; those of a variant only if it was measured.
pub fn outcomes(results: &Results) -> Vec<Outcome> {
    let wanted = measured(results);
    wanted.map(|goal| goal.outcome(results)).collect()
}

/// The two implementations and the metric of each goal of a contest.
pub fn ratios(results: &Results, contest: Contest) -> Vec<(&'static str, String, Metric)> {
    let goals = measured(results).filter(|goal| goal.contest == contest);
    goals
        .map(|goal| (goal.ours, goal.rival(results), goal.metric))
        .collect()
}

fn measured(results: &Results) -> impl Iterator<Item = Goal> + '_ {
    let is_measured = |goal: &Goal| results.implementations(goal.contest).contains(&goal.ours);
    goals().into_iter().filter(is_measured)
}

impl Goal {
    fn rival(&self, results: &Results) -> String {
        match self.rival {
            Rival::Implementation(name) => name,
            Rival::BestOnCCore => best_on_ccore(results, self.contest, self.metric)
                .unwrap_or("the best other on the C-core"),
        }
        .into()
    }

    fn outcome(&self, results: &Results) -> Outcome {
        let rival = self.rival(results);
        let ratio = results.ratio(self.contest, self.ours, &rival, self.metric);
        let sign = match self.metric.higher_is_better() {
            true => "≥",
            false => "≤",
        };
        let build = match self.ours {
            OURS_RELEASE => ", release build",
            OURS_DIRECT => ", with --direct",
            _ => "",
        };
        Outcome {
            what: format!("{}: {}{build}", self.contest.1, self.metric.name()),
            target: format!("{sign} {} × {rival}", units::number(self.target)),
            ratio,
            met: ratio.map(|ratio| self.meets(ratio.median)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::results;
    use crate::record::tests::run;

    #[test]
    fn goals_of_the_release_build_are_met_missed_and_not_measured() {
        let runs = [
            run(OURS, 0, 9),
            run(OURS_RELEASE, 0, 200),
            run("ccore-release", 0, 100),
            run("ccore", 0, 900),
        ];
        let outcomes = outcomes(&results(runs.into()));
        let found: Vec<_> = outcomes
            .iter()
            .map(|outcome| (&*outcome.target, outcome.met))
            .collect();
        assert_eq!(
            found,
            [
                ("≤ 1.15 × ccore-release", Some(false)),
                ("≤ 1.30 × go", None)
            ]
        );
        assert_eq!(
            outcomes[0].what,
            "tiny: server CPU per message, release build"
        );
        let better = [run(OURS_RELEASE, 0, 100), run("go", 0, 100)];
        let met = super::outcomes(&results(better.into()));
        assert_eq!(met[1].met, Some(true));
    }

    #[test]
    fn a_run_without_the_release_build_has_none_of_its_goals() {
        let runs = [run(OURS, 0, 1), run("go", 0, 1)];
        assert_eq!(outcomes(&results(runs.into())), []);
    }

    #[test]
    fn the_best_on_the_c_core_is_of_the_everyday_build_and_another() {
        let runs = [
            run(OURS, 0, 1),
            run("go", 0, 2),
            run("cpp-sync", 0, 9),
            run("ccore", 0, 5),
            run("ccore-framed", 0, 4),
            run("ccore-release", 0, 3),
            run("ccore-framed-release", 0, 2),
        ];
        let results = results(runs.into());
        let best = best_on_ccore(&results, results.contests()[0], Metric::ServerCpu);
        assert_eq!(best, Some("ccore-framed"));
    }
}
