//! The map of a run: this project beside every other implementation in every workload, and the
//! verdict in sentences. It must not know any output format.

use std::cmp::Ordering;

use crate::analysis::{is_one_of, Contest, Results, OURS};
use crate::goals::C_CORE;
use crate::metric::Metric;
use crate::stats::Estimate;
use crate::units;
use crate::workload::Workload;

use super::model::Table;

/// A smaller difference counts as none, for cases with one round, which have no interval.
const EQUAL: f64 = 0.02;

/// Rows of workloads, columns of implementations.
pub struct Map {
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<Option<Field>>)>,
}

/// This project's figure as a multiple of another implementation's; below 1 it is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    pub ratio: Estimate,
}

/// A ratio in words. Alike: the interval contains 1, or the ratio is within [`EQUAL`] of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At most half.
    MuchBetter,
    Better,
    Alike,
    Worse,
    /// At least twice.
    MuchWorse,
}

impl Field {
    pub fn standing(&self) -> Standing {
        match self.ratio.median {
            median if (median - 1.0).abs() < EQUAL => Standing::Alike,
            _ if self.ratio.low <= 1.0 && self.ratio.high >= 1.0 => Standing::Alike,
            median if median <= 0.5 => Standing::MuchBetter,
            median if median < 1.0 => Standing::Better,
            median if median < 2.0 => Standing::Worse,
            _ => Standing::MuchWorse,
        }
    }

    pub fn text(&self) -> String {
        units::number(self.ratio.median)
    }
}

impl Map {
    pub fn new(results: &Results) -> Map {
        let contests = contests(results);
        let mut names: Vec<&str> = contests
            .iter()
            .flat_map(|&contest| results.implementations(contest))
            .filter(|name| *name != OURS)
            .collect();
        names.sort();
        names.dedup();
        let row = |&contest: &Contest| {
            let fields = names.iter().map(|name| field(results, contest, name));
            (heading(&contest), fields.collect())
        };
        Map {
            columns: names.iter().map(|name| name.to_string()).collect(),
            rows: contests.iter().map(row).collect(),
        }
    }

    pub fn to_table(&self) -> Table {
        let first = format!("{OURS} as a multiple of");
        let mut table = Table::new([first].into_iter().chain(self.columns.iter().cloned()));
        for (case, fields) in &self.rows {
            let texts = fields
                .iter()
                .map(|field| field.map_or("–".into(), |field| field.text()));
            let cells = [case.clone()].into_iter().chain(texts);
            table.row(false, cells.collect());
        }
        table
    }
}

/// The contests of the map: those with one figure, not the curves.
fn contests(results: &Results) -> Vec<Contest> {
    let is_curve = |workload| {
        matches!(
            workload,
            Workload::Sizes | Workload::Streams | Workload::Slow
        )
    };
    let all = results.contests().into_iter();
    all.filter(|(_, case)| !is_curve(case.workload)).collect()
}

fn name((role, case): Contest) -> String {
    format!("{case} ({role}s)")
}

fn heading(&contest: &Contest) -> String {
    let metric = Metric::pictured(contest.1.workload, contest.0);
    format!("{}: {}", name(contest), metric.name())
}

fn field(results: &Results, contest: Contest, other: &str) -> Option<Field> {
    let metric = Metric::pictured(contest.1.workload, contest.0);
    let (a, b) = match metric.higher_is_better() {
        true => (other, OURS),
        false => (OURS, other),
    };
    let ratio = results.ratio(contest, a, b, metric)?;
    Some(Field { ratio })
}

/// A sentence on each group of rivals.
pub fn verdict(results: &Results) -> Vec<String> {
    let best_on_ccore = |results: &Results, contest: Contest| {
        let metric = Metric::pictured(contest.1.workload, contest.0);
        let ranking = results.ranking(contest, metric);
        let best = ranking.iter().find(|(name, _)| is_one_of(name, C_CORE))?;
        field(results, contest, best.0)
    };
    let named = |name: &'static str| {
        move |results: &Results, contest: Contest| field(results, contest, name)
    };
    [
        sentence(
            results,
            "the best other implementation on the C-core in each",
            best_on_ccore,
        ),
        sentence(results, "grpc-go", named("go")),
        sentence(results, "tonic", named("tonic")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Counts the figures in which this project is better, alike or worse, and names the extremes.
fn sentence(
    results: &Results,
    rival: &str,
    field: impl Fn(&Results, Contest) -> Option<Field>,
) -> Option<String> {
    let fields: Vec<(String, Field)> = contests(results)
        .into_iter()
        .filter_map(|contest| Some((name(contest), field(results, contest)?)))
        .collect();
    let count = |wanted: &[Standing]| {
        let matching = fields
            .iter()
            .filter(|(_, field)| wanted.contains(&field.standing()));
        matching.count()
    };
    let by_ratio = |a: &&(String, Field), b: &&(String, Field)| -> Ordering {
        a.1.ratio.median.total_cmp(&b.1.ratio.median)
    };
    let best = fields.iter().min_by(by_ratio)?;
    let worst = fields.iter().max_by(by_ratio)?;
    Some(format!(
        "Beside {rival}, {OURS} is better in {} of {} figures, alike within noise in {} and worse in {}. Its costs are \
         between {} times ({}) and {} times ({}).",
        count(&[Standing::Better, Standing::MuchBetter]),
        fields.len(),
        count(&[Standing::Alike]),
        count(&[Standing::Worse, Standing::MuchWorse]),
        best.1.text(),
        best.0,
        worst.1.text(),
        worst.0,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::{results, twice_as_much};
    use crate::record::tests::run;

    #[test]
    fn a_field_is_a_ratio_of_costs() {
        let map = Map::new(&twice_as_much());
        assert_eq!(map.columns, ["go"]);
        let (case, fields) = &map.rows[0];
        let field = fields[0].expect("measured");
        assert_eq!(case, "tiny (servers): server CPU per message");
        assert_eq!(field.text(), "2.00");
        assert_eq!(field.standing(), Standing::MuchWorse);
    }

    #[test]
    fn noise_is_no_difference() {
        let runs = [
            run(OURS, 0, 9),
            run("go", 0, 10),
            run(OURS, 1, 10),
            run("go", 1, 9),
        ];
        let map = Map::new(&results(runs.into()));
        let field = map.rows[0].1[0].expect("measured");
        assert_eq!(field.standing(), Standing::Alike);
    }

    #[test]
    fn the_verdict_counts_and_names_extremes() {
        let text = verdict(&twice_as_much());
        assert_eq!(
            text,
            ["Beside grpc-go, fanstream is better in 0 of 1 figures, alike within noise in 0 and worse in 1. Its costs \
              are between 2.00 times (tiny (servers)) and 2.00 times (tiny (servers))."]
        );
    }
}
