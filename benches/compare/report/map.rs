//! The maps of a run: each build of this project beside every other implementation in every
//! workload, and the verdict in sentences. It must not know any output format.

use std::cmp::Ordering;

use crate::analysis::{Contest, Results, OURS, OURS_RELEASE};
use crate::claims::contests;
use crate::doubts::{self, Doubt};
use crate::goals::best_on_ccore;
use crate::metric::Metric;
use crate::stats::Estimate;
use crate::units;

use super::model::Table;

/// A smaller difference counts as none, for cases with one round, which have no interval.
const EQUAL: f64 = 0.02;

/// The meaning of the mark in [`Field::text`].
pub const NOT_EXACT: &str =
    "~: the interval is wider than ±5 %, or there was one round. ?: one of the two figures is doubtful.";

/// Rows of workloads, columns of implementations.
pub struct Map {
    /// This project, by the name of the build.
    pub ours: &'static str,
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<Option<Field>>)>,
}

/// This project's figure as a multiple of another implementation's; below 1 it is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field {
    pub ratio: Estimate,
    /// Whether one of the two figures is doubtful.
    pub is_doubtful: bool,
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

    /// The ratio, marked if it is not known to ±5 %, or doubtful.
    pub fn text(&self) -> String {
        let mark = units::mark(&self.ratio);
        let doubt = if self.is_doubtful { "?" } else { "" };
        format!("{mark}{}{doubt}", units::number(self.ratio.median))
    }

    /// The ratio with its interval, and how exactly it is known.
    pub fn detail(&self) -> String {
        let precision = units::precision(&self.ratio);
        format!("{}; {precision}", units::estimate(&self.ratio))
    }
}

impl Map {
    /// A map for each build of this project that was measured.
    pub fn all(results: &Results) -> Vec<Map> {
        let maps = [OURS, OURS_RELEASE].map(|ours| Map::new(results, ours));
        maps.into_iter()
            .filter(|map| !map.rows.is_empty())
            .collect()
    }

    fn new(results: &Results, ours: &'static str) -> Map {
        let mut contests = contests(results);
        contests.retain(|&contest| results.implementations(contest).contains(&ours));
        let mut names: Vec<&str> = contests
            .iter()
            .flat_map(|&contest| results.implementations(contest))
            .filter(|name| *name != ours)
            .collect();
        names.sort();
        names.dedup();
        // Each build stands beside programs built like it, and beside those that have one build.
        let all = names.clone();
        names.retain(|name| match name.strip_suffix("-release") {
            Some(_) => ours == OURS_RELEASE,
            None => ours == OURS || !all.contains(&&*format!("{name}-release")),
        });
        let row = |&contest: &Contest| {
            let doubts = doubts::of(results, contest);
            let fields = names
                .iter()
                .map(|name| field(results, contest, ours, name, &doubts));
            (heading(&contest), fields.collect())
        };
        Map {
            ours,
            columns: names.iter().map(|name| name.to_string()).collect(),
            rows: contests.iter().map(row).collect(),
        }
    }

    pub fn to_table(&self) -> Table {
        let first = format!("{} as a multiple of", self.ours);
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

fn name((role, case): Contest) -> String {
    format!("{case} ({role}s)")
}

fn heading(&contest: &Contest) -> String {
    let metric = Metric::pictured(contest.1.workload, contest.0);
    format!("{}: {}", name(contest), metric.name())
}

fn field(
    results: &Results,
    contest: Contest,
    ours: &str,
    other: &str,
    doubts: &[Doubt],
) -> Option<Field> {
    let metric = Metric::pictured(contest.1.workload, contest.0);
    let (a, b) = match metric.higher_is_better() {
        true => (other, ours),
        false => (ours, other),
    };
    let ratio = results.ratio(contest, a, b, metric)?;
    let is_doubtful = doubts
        .iter()
        .any(|doubt| doubt.metric == metric && [ours, other].contains(&&*doubt.implementation));
    Some(Field { ratio, is_doubtful })
}

/// A sentence on each group of rivals.
pub fn verdict(results: &Results) -> Vec<String> {
    let best = |contest: Contest| {
        let metric = Metric::pictured(contest.1.workload, contest.0);
        best_on_ccore(results, contest, metric).map(String::from)
    };
    let named = |name: &'static str| move |_: Contest| Some(name.to_string());
    [
        sentence(
            results,
            "the best other implementation on the C-core in each",
            best,
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
    other: impl Fn(Contest) -> Option<String>,
) -> Option<String> {
    let fields: Vec<(String, Field)> = contests(results)
        .into_iter()
        .filter_map(|contest| {
            let doubts = doubts::of(results, contest);
            let field = field(results, contest, OURS, &other(contest)?, &doubts)?;
            Some((name(contest), field))
        })
        // Nobody should quote them.
        .filter(|(_, field)| !field.is_doubtful)
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
    let unsure = fields.iter().filter(|(_, field)| !field.ratio.is_narrow());
    let unsure = match unsure.count() {
        0 => "All ratios are known to ±5 %.".into(),
        count => format!("In {count}, the interval is wider than ±5 % or missing."),
    };
    Some(format!(
        "Beside {rival}, {OURS} is better in {} of {} figures, alike within noise in {} and worse in {}. Its costs are \
         between {} times ({}) and {} times ({}). {unsure}",
        count(&[Standing::Better, Standing::MuchBetter]),
        fields.len(),
        count(&[Standing::Alike]),
        count(&[Standing::Worse, Standing::MuchWorse]),
        units::estimate(&best.1.ratio),
        best.0,
        units::estimate(&worst.1.ratio),
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
        let map = &Map::all(&twice_as_much())[0];
        assert_eq!(map.columns, ["go"]);
        let (case, fields) = &map.rows[0];
        let field = fields[0].expect("measured");
        assert_eq!(case, "tiny (servers): server CPU per message");
        assert_eq!(field.text(), "2.00");
        assert_eq!(field.standing(), Standing::MuchWorse);
    }

    #[test]
    fn each_build_stands_beside_those_like_it() {
        let names = [OURS, OURS_RELEASE, "ccore", "ccore-release", "go"];
        let runs = names.map(|name| run(name, 0, 1));
        let maps = Map::all(&results(runs.into()));
        let columns = |ours| {
            let map = maps.iter().find(|map| map.ours == ours);
            map.expect("measured").columns.join(" ")
        };
        assert_eq!(columns(OURS), "ccore go");
        assert_eq!(columns(OURS_RELEASE), "ccore-release fanstream go");
        assert_eq!(Map::all(&twice_as_much()).len(), 1);
    }

    #[test]
    fn noise_is_no_difference() {
        let runs = [
            run(OURS, 0, 9),
            run("go", 0, 10),
            run(OURS, 1, 10),
            run("go", 1, 9),
        ];
        let map = &Map::all(&results(runs.into()))[0];
        let field = map.rows[0].1[0].expect("measured");
        assert_eq!(field.standing(), Standing::Alike);
        assert_eq!(field.text(), "~1.01");
        assert_eq!(field.detail(), "1.01 (0.90–1.11); range of 2 rounds");
    }

    #[test]
    fn the_verdict_counts_and_names_extremes() {
        let text = verdict(&twice_as_much());
        assert_eq!(
            text,
            ["Beside grpc-go, fanstream is better in 0 of 1 figures, alike within noise in 0 and worse in 1. Its costs \
              are between 2.00 times (tiny (servers)) and 2.00 times (tiny (servers)). All ratios are known to ±5 %."]
        );
    }
}
