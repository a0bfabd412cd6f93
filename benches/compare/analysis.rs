//! Estimates, ratios and failures, computed from the raw data. It writes no words and no pictures.

use crate::latencies::Latencies;
use crate::metric::{busy, Metric};
use crate::pair::Measured;
use crate::produce::Produced;
use crate::record::{Header, Records, Run};
use crate::stats::{median, Estimate};
use crate::units;
use crate::workload::{Case, Role};

/// This project among the implementations.
pub const OURS: &str = "fanstream";
/// The same, built by scripts/release.
pub const OURS_RELEASE: &str = "fanstream-release";

/// With `--direct`.
pub const OURS_DIRECT: &str = "fanstream-direct";

/// A side whose core is at least this busy is the bottleneck,
const LIMIT: f64 = 0.95;
/// unless the other side's core is at least this busy.
const SPARE: f64 = 0.90;

/// Whether an implementation has one of these names; one that ends with `-` stands for all names
/// that begin with it. Variants have none: users get the everyday build with its defaults.
pub fn is_one_of(implementation: &str, names: &[&str]) -> bool {
    let is = |name: &&str| match name.ends_with('-') {
        true => implementation.starts_with(name),
        false => implementation == *name,
    };
    !is_variant(implementation) && names.iter().any(is)
}

/// Whether scripts/release built it, or its C-core, or it is this project with a setting that is
/// not the default.
pub fn is_variant(implementation: &str) -> bool {
    implementation.ends_with("-release") || implementation == OURS_DIRECT
}

/// The name without the suffix of scripts/release: both builds are of the same program.
pub fn program(implementation: &str) -> &str {
    implementation
        .strip_suffix("-release")
        .unwrap_or(implementation)
}

/// One comparison: one case, one side.
pub type Contest = (Role, Case);

/// A pair or a repetition without a figure, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub what: String,
    pub why: String,
}

/// The raw data of a run, with queries on it.
pub struct Results {
    records: Records,
}

impl Results {
    pub fn new(records: Records) -> Results {
        Results { records }
    }

    pub fn header(&self) -> &Header {
        &self.records.header
    }

    /// The number of checks, and how many of them passed.
    pub fn checks(&self) -> (usize, usize) {
        let checks = &self.records.checks;
        let fine = checks.iter().filter(|check| check.problem.is_none());
        (checks.len(), fine.count())
    }

    /// The number of runs, how many are complete, and the messages of those.
    pub fn runs(&self) -> (usize, usize, u64) {
        let runs = &self.records.runs;
        let complete = || runs.iter().filter_map(|run| run.measured.as_ref());
        let messages = complete().map(|run| run.messages).sum();
        (runs.len(), complete().count(), messages)
    }

    /// All contests with a repetition, in the order of workloads.
    pub fn contests(&self) -> Vec<Contest> {
        let runs = self.records.runs.iter();
        let mut contests: Vec<Contest> = runs.map(|run| (run.role, run.case)).collect();
        contests.sort_by_key(|&(role, case)| (case.workload, role, case.tls, case.point));
        contests.dedup();
        contests
    }

    /// Any repetition of a contest, for the properties that all of them share.
    pub fn example(&self, contest: Contest) -> Option<&Run> {
        let runs = &mut self.records.runs.iter();
        runs.find(|run| (run.role, run.case) == contest && run.measured.is_some())
    }

    /// Implementations with figures.
    pub fn implementations(&self, contest: Contest) -> Vec<&str> {
        let runs = self.records.runs.iter();
        let runs = runs.filter(|run| (run.role, run.case) == contest && run.measured.is_some());
        let mut implementations: Vec<&str> = runs.map(|run| &*run.implementation).collect();
        implementations.sort();
        implementations.dedup();
        implementations
    }

    /// Implementations with figures, best first.
    pub fn ranking(&self, contest: Contest, metric: Metric) -> Vec<(&str, Estimate)> {
        let estimate = |implementation| {
            Some((
                implementation,
                self.estimate(contest, implementation, metric)?,
            ))
        };
        let mut ranking: Vec<_> = self
            .implementations(contest)
            .into_iter()
            .filter_map(estimate)
            .collect();
        ranking.sort_by(|(_, a), (_, b)| a.median.total_cmp(&b.median));
        if metric.higher_is_better() {
            ranking.reverse();
        }
        ranking
    }

    /// Repetitions of one implementation, each with its round.
    pub fn repetitions<'a>(
        &'a self,
        contest: Contest,
        implementation: &'a str,
    ) -> impl Iterator<Item = (u32, &'a Measured)> {
        let runs = self.records.runs.iter();
        let runs = runs.filter(move |run| {
            (run.role, run.case) == contest && run.implementation == implementation
        });
        runs.filter_map(|run| Some((run.round, run.measured.as_ref()?)))
    }

    /// One number a round.
    pub fn values(
        &self,
        contest: Contest,
        implementation: &str,
        metric: Metric,
    ) -> Vec<(u32, f64)> {
        let runs = self.repetitions(contest, implementation);
        runs.filter_map(|(round, run)| Some((round, metric.value(run)?)))
            .collect()
    }

    pub fn estimate(
        &self,
        contest: Contest,
        implementation: &str,
        metric: Metric,
    ) -> Option<Estimate> {
        let values = self.values(contest, implementation, metric);
        Estimate::of(&values.iter().map(|&(_, value)| value).collect::<Vec<_>>())
    }

    /// `a` as a multiple of `b`, round by round.
    pub fn ratio(&self, contest: Contest, a: &str, b: &str, metric: Metric) -> Option<Estimate> {
        ratio_of(
            &self.values(contest, a, metric),
            &self.values(contest, b, metric),
        )
    }

    /// One implementation's figure in case `a` as a multiple of that in case `b`, round by round.
    pub fn ratio_of_cases(
        &self,
        a: Contest,
        b: Contest,
        implementation: &str,
        metric: Metric,
    ) -> Option<Estimate> {
        ratio_of(
            &self.values(a, implementation, metric),
            &self.values(b, implementation, metric),
        )
    }

    /// Microseconds of CPU time that the implementation's server spends on making one response of
    /// `size` bytes.
    pub fn making(&self, implementation: &str, size: u64) -> Option<f64> {
        let mut produced = self.records.produced.iter();
        let same = |one: &&Produced| one.implementation == implementation && one.size == size;
        produced.find(same)?.micros()
    }

    /// The same of the cheapest implementation.
    pub fn least_making(&self, size: u64) -> Option<f64> {
        let of_size = self.records.produced.iter().filter(|one| one.size == size);
        of_size.filter_map(Produced::micros).min_by(f64::total_cmp)
    }

    /// The latencies of all rounds together.
    pub fn latencies(
        &self,
        contest: Contest,
        implementation: &str,
        which: fn(&Measured) -> Option<&Latencies>,
    ) -> Option<Latencies> {
        let runs = self.repetitions(contest, implementation);
        Latencies::merged(runs.filter_map(|(_, run)| which(run)))
    }

    /// How busy server and client kept their cores.
    pub fn busy(&self, contest: Contest, implementation: &str) -> Option<(f64, f64)> {
        let shares: Vec<_> = self
            .repetitions(contest, implementation)
            .map(|(_, run)| busy(run))
            .collect();
        let (servers, clients): (Vec<f64>, Vec<f64>) = shares.into_iter().unzip();
        Some((median(&servers)?, median(&clients)?))
    }

    /// Whether the other side, not the compared one, was the bottleneck.
    pub fn held_back(&self, contest: Contest, implementation: &str) -> bool {
        let Some((server, client)) = self.busy(contest, implementation) else {
            return false;
        };
        let (own, other) = match contest.0 {
            Role::Server => (server, client),
            Role::Client => (client, server),
        };
        other >= LIMIT && own < SPARE
    }

    /// Pairs that failed their check, repetitions that failed, and programs that made no responses.
    pub fn failures(&self) -> Vec<Failure> {
        let checks = self.records.checks.iter().filter_map(|check| {
            let over = if check.tls { " over TLS" } else { "" };
            Some(Failure {
                what: format!("{} server with {} client{over}", check.server, check.client),
                why: check.problem.clone()?,
            })
        });
        let runs = self.records.runs.iter().filter_map(|run| {
            Some(Failure {
                what: format!(
                    "{}: {} server with {} client",
                    run.case, run.server, run.client
                ),
                why: run.failure.clone()?,
            })
        });
        let produced = self.records.produced.iter().filter_map(|one| {
            Some(Failure {
                what: format!(
                    "{}: making responses of {}",
                    one.implementation,
                    units::size(one.size)
                ),
                why: one.failure.clone()?,
            })
        });
        checks.chain(runs).chain(produced).collect()
    }
}

/// The ratio over the rounds that both have.
fn ratio_of(a: &[(u32, f64)], b: &[(u32, f64)]) -> Option<Estimate> {
    let of_round = |round: u32| b.iter().find(|(other, _)| *other == round);
    let ratios = a
        .iter()
        .filter_map(|&(round, value)| Some(value / of_round(round)?.1));
    Estimate::of_ratios(&ratios.collect::<Vec<_>>())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::record::tests::{header, run};

    pub fn results(runs: Vec<Run>) -> Results {
        results_of(header(), runs)
    }

    pub fn results_of(header: Header, runs: Vec<Run>) -> Results {
        Results::new(Records {
            header,
            checks: Vec::new(),
            runs,
            produced: Vec::new(),
        })
    }

    /// This project at 2, 4 and 6 µs a message, another at half that.
    pub fn twice_as_much() -> Results {
        let rounds = [(0, 2_000_000), (1, 4_000_000), (2, 6_000_000)];
        let ours = rounds.map(|(round, ns)| run(OURS, round, ns));
        let theirs = rounds.map(|(round, ns)| run("go", round, ns / 2));
        results(ours.into_iter().chain(theirs).collect())
    }

    #[test]
    fn a_ratio_is_of_the_same_round() {
        let results = twice_as_much();
        let contest = results.contests()[0];
        let ratio = results
            .ratio(contest, OURS, "go", Metric::ServerCpu)
            .expect("both ran");
        // However much a round differs from the next one.
        assert_eq!((ratio.median, ratio.low, ratio.high), (2.0, 2.0, 2.0));
        assert_eq!(
            ratio_of(&[(0, 3.0), (1, 8.0)], &[(1, 2.0), (7, 1.0)]).map(|r| r.median),
            Some(4.0)
        );
        assert_eq!(ratio_of(&[(0, 3.0)], &[(1, 2.0)]), None);
    }

    #[test]
    fn a_ranking_starts_with_the_best() {
        let results = twice_as_much();
        let contest = results.contests()[0];
        let ranking = results.ranking(contest, Metric::ServerCpu);
        assert_eq!(
            ranking
                .iter()
                .map(|(implementation, _)| *implementation)
                .collect::<Vec<_>>(),
            ["go", OURS]
        );
        assert_eq!(ranking[0].1.median, 2.0);
    }

    #[test]
    fn a_implementation_that_failed_has_no_figure_and_is_named() {
        let mut failed = run("go", 0, 0);
        failed.measured = None;
        failed.failure = Some("it hung".into());
        let results = results(vec![failed, run(OURS, 0, 1)]);
        assert_eq!(results.implementations(results.contests()[0]), [OURS]);
        let failures = results.failures();
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].what, "tiny: go server with go client");
        assert_eq!(failures[0].why, "it hung");
    }

    #[test]
    fn a_busy_other_side_holds_back() {
        let mut bound_by_client = run("go", 0, 500_000_000);
        if let Some(measured) = &mut bound_by_client.measured {
            measured.client.cpu_ns = 990_000_000;
        }
        let results = results(vec![bound_by_client, run(OURS, 0, 990_000_000)]);
        let contest = results.contests()[0];
        assert!(results.held_back(contest, "go"));
        assert!(!results.held_back(contest, OURS));
    }
}
