//! The claims of a report: the ratios on which its verdict and its goals rest. It computes no
//! figure and writes no words.

use crate::analysis::{Contest, Results, OURS};
use crate::goals::{self, best_on_ccore};
use crate::metric::Metric;
use crate::stats::Estimate;

/// A ratio of this project to another implementation.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    pub ours: String,
    pub other: String,
    pub metric: Metric,
}

/// The contests of the map and the verdict: one figure each. The points of a curve are left out.
pub fn contests(results: &Results) -> Vec<Contest> {
    let all = results.contests().into_iter();
    all.filter(|(_, case)| !case.is_only_a_point()).collect()
}

/// The claims of a contest.
pub fn of(results: &Results, contest: Contest) -> Vec<Claim> {
    let (role, case) = contest;
    let metric = Metric::pictured(case.workload, role);
    let measured = results.implementations(contest);
    let best = best_on_ccore(results, contest, metric);
    let verdict = best.into_iter().chain(["go", "tonic"]);
    let verdict = verdict.map(|other| (OURS, other.to_string(), metric));
    let mut claims: Vec<Claim> = Vec::new();
    for (ours, other, metric) in verdict.chain(goals::ratios(results, contest)) {
        let claim = Claim {
            ours: ours.into(),
            other,
            metric,
        };
        let is_measured = [&claim.ours, &claim.other].map(|name| measured.contains(&&**name));
        if is_measured == [true, true] && !claims.contains(&claim) {
            claims.push(claim);
        }
    }
    claims
}

impl Claim {
    pub fn ratio(&self, results: &Results, contest: Contest) -> Option<Estimate> {
        results.ratio(contest, &self.ours, &self.other, self.metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::results;
    use crate::analysis::OURS_RELEASE;
    use crate::record::tests::run;

    #[test]
    fn the_verdict_and_the_goals_claim_ratios() {
        let names = [
            OURS,
            OURS_RELEASE,
            "ccore",
            "ccore-release",
            "cpp-sync",
            "go",
            "java",
        ];
        let runs = (1..).zip(names).map(|(cpu, name)| run(name, 0, cpu));
        let results = results(runs.collect());
        let claims = of(&results, results.contests()[0]);
        let pairs: Vec<_> = claims
            .iter()
            .map(|claim| (&*claim.ours, &*claim.other))
            .collect();
        let expected = [
            (OURS, "ccore"),
            (OURS, "go"),
            (OURS_RELEASE, "ccore-release"),
            (OURS_RELEASE, "go"),
        ];
        assert_eq!(pairs, expected);
    }
}
