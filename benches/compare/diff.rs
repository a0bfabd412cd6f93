//! Compares two runs and tells changes from noise. It measures nothing.

use std::path::Path;

use anyhow::{ensure, Result};
use comfy_table::{presets::UTF8_HORIZONTAL_ONLY, Table};

use crate::analysis::{Contest, Results, OURS};
use crate::metric::Metric;
use crate::record::Records;
use crate::stats::Estimate;
use crate::units;

/// Fewer rounds cannot be told from noise: with three on each side, chance puts all of one side
/// above all of the other one time in ten.
const ROUNDS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Better,
    Worse,
    /// Within the spread of the rounds of one run.
    Noise,
    TooFewRounds,
}

struct Change {
    contest: Contest,
    implementation: String,
    metric: Metric,
    before: Estimate,
    after: Estimate,
    change: Estimate,
    verdict: Verdict,
}

/// Prints the changes from the run in `before` to the run in `after`.
pub fn print(before: &Path, after: &Path) -> Result<()> {
    let before = Results::new(Records::read(before)?);
    let after = Results::new(Records::read(after)?);
    let machines = [&before, &after].map(|results| &results.header().machine);
    println!("before: {}, {}", before.header().date, machines[0].commit);
    println!("after:  {}, {}", after.header().date, machines[1].commit);
    let same =
        |of: fn(&crate::common::machine::Machine) -> String| of(machines[0]) == of(machines[1]);
    if !same(|machine| format!("{} {} {}", machine.cores, machine.processor, machine.kernel)) {
        println!("The machines differ: absolute figures cannot be compared.");
    }
    for (implementation, version) in &before.header().versions {
        match after.header().versions.get(implementation) {
            Some(other) if other != version => {
                println!("{implementation}: {version}, then {other}")
            }
            _ => {}
        }
    }
    let changes = changes(&before, &after);
    ensure!(
        !changes.is_empty(),
        "the two runs have no comparable figures"
    );
    let count = |verdict| {
        changes
            .iter()
            .filter(|change| change.verdict == verdict)
            .count()
    };
    let table = table(
        changes
            .iter()
            .filter(|change| matches!(change.verdict, Verdict::Better | Verdict::Worse)),
    );
    if table.row_count() != 0 {
        println!("{table}");
    }
    let moved = |change: &&Change| {
        let versions =
            [&before, &after].map(|results| results.header().versions.get(&change.implementation));
        change.implementation != OURS
            && versions[0] == versions[1]
            && change.verdict != Verdict::Noise
    };
    if changes
        .iter()
        .filter(|change| change.verdict != Verdict::TooFewRounds)
        .any(|change| moved(&change))
    {
        println!("Implementations that are still the same changed as well: so did the machine, and by about as much.");
    }
    println!(
        "{} figures: {} better, {} worse, {} within noise, {} of fewer than {ROUNDS} rounds",
        changes.len(),
        count(Verdict::Better),
        count(Verdict::Worse),
        count(Verdict::Noise),
        count(Verdict::TooFewRounds),
    );
    Ok(())
}

/// The changes of all figures that both runs measured alike.
fn changes(before: &Results, after: &Results) -> Vec<Change> {
    let mut changes = Vec::new();
    for contest in before.contests() {
        let [a, b] = [before, after].map(|results| results.example(contest));
        let (Some(a), Some(b)) = (a, b) else { continue };
        let other = |a: &str, b: &str| contest.0 == crate::workload::Role::Server && a != b;
        if a.shape != b.shape || other(&a.client, &b.client) {
            continue;
        }
        for implementation in before.implementations(contest) {
            for metric in Metric::of(contest.1.workload, contest.0) {
                let [a, b] = [before, after].map(|results| {
                    let values = results.values(contest, implementation, metric);
                    values
                        .into_iter()
                        .map(|(_, value)| value)
                        .collect::<Vec<_>>()
                });
                changes.extend(change(contest, implementation, metric, &a, &b));
            }
        }
    }
    changes
}

fn change(
    contest: Contest,
    implementation: &str,
    metric: Metric,
    a: &[f64],
    b: &[f64],
) -> Option<Change> {
    let (before, after) = (Estimate::of(a)?, Estimate::of(b)?);
    let change = Estimate::of_change(a, b)?;
    Some(Change {
        contest,
        implementation: implementation.into(),
        metric,
        before,
        after,
        change,
        verdict: match a.len().min(b.len()) < ROUNDS {
            true => Verdict::TooFewRounds,
            false => verdict(metric, &before, &after, &change),
        },
    })
}

/// More than noise: neither do the intervals overlap, nor does that of the change hold 1.
fn verdict(metric: Metric, before: &Estimate, after: &Estimate, change: &Estimate) -> Verdict {
    let more = after.low > before.high && change.low > 1.0;
    let less = after.high < before.low && change.high < 1.0;
    match (more, less, metric.higher_is_better()) {
        (true, _, true) | (_, true, false) => Verdict::Better,
        (true, _, false) | (_, true, true) => Verdict::Worse,
        _ => Verdict::Noise,
    }
}

fn table<'a>(changes: impl Iterator<Item = &'a Change>) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "",
        "implementation",
        "figure",
        "before",
        "after",
        "change",
        "",
    ]);
    for change in changes {
        let (role, case) = change.contest;
        table.add_row([
            format!("{case} ({role})"),
            change.implementation.clone(),
            change.metric.heading(),
            units::estimate(&change.before),
            units::estimate(&change.after),
            format!("{} ×", units::estimate(&change.change)),
            format!("{:?}", change.verdict).to_lowercase(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::results;
    use crate::record::tests::run;

    fn of(implementation: &str, micros: &[u64]) -> Results {
        let rounds = (0..).zip(micros);
        results(
            rounds
                .map(|(round, us)| run(implementation, round, us * 1_000))
                .collect(),
        )
    }

    fn verdict_of(before: &[u64], after: &[u64]) -> Verdict {
        let changes = changes(&of("go", before), &of("go", after));
        let cpu = changes
            .iter()
            .find(|change| change.metric == Metric::ServerCpu);
        cpu.expect("both have it").verdict
    }

    #[test]
    fn more_than_noise_and_less() {
        let before = [1_000, 1_010, 990, 1_020, 1_005];
        assert_eq!(
            verdict_of(&before, &[800, 810, 790, 805, 802]),
            Verdict::Better
        );
        assert_eq!(
            verdict_of(&before, &[1_200, 1_190, 1_250, 1_205, 1_210]),
            Verdict::Worse
        );
        assert_eq!(
            verdict_of(&before, &[1_015, 985, 1_000, 1_030, 1_001]),
            Verdict::Noise
        );
        assert_eq!(
            verdict_of(&before, &[1_000, 1_900, 990, 1_950, 1_800]),
            Verdict::Noise
        );
        assert_eq!(verdict_of(&before, &[500, 500]), Verdict::TooFewRounds);
    }

    #[test]
    fn more_messages_are_better() {
        let at = |median| Estimate {
            median,
            low: median,
            high: median,
            rounds: ROUNDS,
        };
        let verdict = verdict(Metric::Messages, &at(1.0), &at(2.0), &at(2.0));
        assert_eq!(verdict, Verdict::Better);
    }

    #[test]
    fn another_shape_is_not_compared() {
        let before = of("go", &[1, 2, 3]);
        let mut other = run("go", 0, 1);
        other.shape = "--responses 7".into();
        assert!(changes(&before, &results(vec![other])).is_empty());
        assert!(changes(&before, &of("tonic", &[1, 2, 3])).is_empty());
    }
}
