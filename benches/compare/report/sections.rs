//! Builds the sections and tables of a report from results. It must not know any output format.

use anyhow::Result;

use crate::analysis::{Contest, Results, OURS};
use crate::audit;
use crate::doubts::{self, Doubt};
use crate::goals::{outcomes, Outcome};
use crate::metric::Metric;
use crate::settings::Effort;
use crate::units;
use crate::workload::{Role, Workload};

use super::map::{self, Map};
use super::model::{Part, Report, Section, Table};
use super::{beside, choice, pictures, scale, words};

pub fn report(results: &Results) -> Result<Report> {
    let contests = results.contests();
    let mut workloads: Vec<Workload> = contests.iter().map(|(_, case)| case.workload).collect();
    workloads.dedup();
    let of = |workload| {
        contests
            .iter()
            .copied()
            .filter(move |(_, case)| case.workload == workload)
    };
    let sections = workloads
        .iter()
        .map(|&workload| section(results, workload, of(workload).collect()));
    let failures = results
        .failures()
        .into_iter()
        .map(|failure| (failure.what, failure.why));
    let (checks, fine) = results.checks();
    let is_smoke = results.header().settings.effort == Effort::Smoke;
    let (before, after) = match is_smoke {
        true => (None, [None, None]),
        false => (
            choice::section(results),
            [beside::section(results), scale::section(results)],
        ),
    };
    let sections = before
        .map(Ok)
        .into_iter()
        .chain(sections)
        .chain(after.into_iter().flatten().map(Ok));
    Ok(Report {
        facts: words::facts(results),
        verdict: if is_smoke {
            Vec::new()
        } else {
            map::verdict(results)
        },
        maps: if is_smoke {
            Vec::new()
        } else {
            Map::all(results)
        },
        goals: if is_smoke {
            Table::default()
        } else {
            goals(&outcomes(results))
        },
        doubts: match is_smoke {
            true => Vec::new(),
            false => doubts::all(results).iter().map(Doubt::text).collect(),
        },
        losses: (!is_smoke).then(|| words::losses(results)),
        sections: sections.collect::<Result<_>>()?,
        failures: failures.collect(),
        checks: format!(
            "{fine} of {checks} pairs of a server and a client passed, in clear text and over TLS: counts, \
            contents and order of all messages, statuses, exit codes."
        ),
        versions: versions(results),
        method: words::method(results),
    })
}

/// The goals with their verdicts.
pub fn goals(outcomes: &[Outcome]) -> Table {
    let mut table = Table::new(["goal", "target", "measured", "", "precision"]);
    for outcome in outcomes {
        let verdict = match outcome.met {
            Some(true) => "met",
            Some(false) => "not met",
            None => "not measured",
        };
        let ratio = outcome.ratio;
        let cells = vec![
            outcome.what.clone(),
            outcome.target.clone(),
            ratio.map_or("–".into(), |ratio| {
                format!("{} ×", units::estimate(&ratio))
            }),
            verdict.into(),
            ratio.map_or("–".into(), |ratio| units::precision(&ratio)),
        ];
        table.row(false, cells);
    }
    table
}

fn versions(results: &Results) -> Table {
    let mut table = Table::new(["implementation", "version"]);
    for (implementation, version) in &results.header().versions {
        table.row(
            implementation == OURS,
            vec![implementation.clone(), version.clone()],
        );
    }
    for (implementation, why) in &results.header().missing {
        table.row(
            false,
            vec![implementation.clone(), format!("missing: {why}")],
        );
    }
    table
}

fn section(results: &Results, workload: Workload, contests: Vec<Contest>) -> Result<Section> {
    let is_curve = !Metric::of_curve(workload).is_empty() && contests.len() > 1;
    let shows_points = !is_curve && workload != Workload::First;
    let is_alone = |(_, case): &&Contest| shows_points || !case.is_only_a_point();
    let mut parts = Vec::new();
    if is_curve {
        parts.extend(curve_parts(results, workload, &contests)?);
    }
    if workload == Workload::Slow {
        parts.extend(slow_part(results, &contests));
    } else {
        for &contest in contests.iter().filter(is_alone) {
            parts.push(ranking_part(results, contest)?);
        }
    }
    Ok(Section {
        name: workload.name().into(),
        about: workload.about().into(),
        standing: contests
            .iter()
            .filter(is_alone)
            .filter_map(|&contest| words::standing(results, contest))
            .collect(),
        parts,
    })
}

/// Implementations by rows, metrics by columns.
fn ranking_part(results: &Results, contest: Contest) -> Result<Part> {
    let (role, case) = contest;
    let metrics = Metric::of(case.workload, role);
    let pictured = Metric::pictured(case.workload, role);
    let mut table = Table::new(["implementation".to_string()]);
    for metric in &metrics {
        table.columns.push(metric.heading());
        if *metric == pictured {
            table.columns.push(format!("× {OURS}"));
        }
    }
    let has_start = case.workload == Workload::First;
    if has_start {
        table.columns.push("first p50, × at once".into());
    }
    table.columns.push("rounds".into());
    table.columns.push("busy server / client".into());
    let doubts = doubts::of(results, contest);
    let mut held_back = false;
    for (implementation, estimate) in results.ranking(contest, pictured) {
        let mut name = implementation.to_string();
        if results.held_back(contest, implementation) {
            held_back = true;
            name += " †";
        }
        if doubts
            .iter()
            .any(|doubt| doubt.implementation == implementation)
        {
            name += " ?";
        }
        let mut cells = vec![name];
        for &metric in &metrics {
            cells.push(cell(results.estimate(contest, implementation, metric)));
            if metric == pictured {
                cells.push(cell(results.ratio(contest, implementation, OURS, metric)));
            }
        }
        if has_start {
            cells.push(cell(audit::start(results, implementation)));
        }
        cells.push(estimate.rounds.to_string());
        let busy = results.busy(contest, implementation);
        cells.push(busy.map_or("–".into(), |(server, client)| {
            format!("{:.0} / {:.0} %", 100.0 * server, 100.0 * client)
        }));
        table.row(implementation == OURS, cells);
    }
    let other = match role {
        Role::Server => "client",
        Role::Client => "server",
    };
    let note = format!(
        "† held back by the {other}, whose core was always busy: the rate is not the {role}'s own."
    );
    let mut notes: Vec<String> = held_back.then_some(note).into_iter().collect();
    notes.extend(doubts.iter().map(|doubt| format!("? {}", doubt.text())));
    let findings = audit::of(results, contest);
    notes.extend(findings.iter().map(audit::Finding::text));
    Ok(Part {
        title: format!("{case}: {role}s"),
        shape: shape(results, contest),
        table: table.without_empty_columns(),
        notes,
        pictures: pictures::of(results, contest)?,
    })
}

fn shape(results: &Results, (role, case): Contest) -> String {
    let Some(run) = results.example((role, case)) else {
        return String::new();
    };
    match role {
        Role::Server => format!("{} · all with the {} client", run.shape, run.client),
        Role::Client => format!("{} · all with the {} server", run.shape, run.server),
    }
}

/// One part for each metric of a curve: implementations by rows, points by columns, the best at the
/// last point on top.
fn curve_parts(results: &Results, workload: Workload, contests: &[Contest]) -> Result<Vec<Part>> {
    let Some(&last) = contests.last() else {
        return Ok(Vec::new());
    };
    let rounds = |&contest: &Contest| results.estimate(contest, OURS, Metric::ServerCpu);
    let rounds = contests.iter().filter_map(rounds);
    let rounds = rounds.map(|estimate| estimate.rounds).min().unwrap_or(0);
    let part = |&metric: &Metric| {
        let implementations = on_curve(results, contests, metric);
        let mut table = Table::new(["implementation"]);
        let points = contests.iter().filter_map(|(_, case)| case.point_name());
        table.columns.extend(points);
        for &implementation in &implementations {
            let mut cells = vec![implementation.to_string()];
            cells.extend(contests.iter().map(|&contest| {
                let estimate = results.estimate(contest, implementation, metric);
                estimate.map_or("–".into(), |estimate| units::number(estimate.median))
            }));
            table.row(implementation == OURS, cells);
        }
        let picture = pictures::curve(results, workload, contests, metric, &implementations)?;
        anyhow::Ok(Part {
            title: format!("{}: {}", workload.name(), metric.heading()),
            shape: format!("{} (the last point)", shape(results, last)),
            table,
            notes: vec![match rounds {
                1 => "One round at most points.".into(),
                rounds => format!("Medians; most have {rounds} rounds at a point."),
            }],
            pictures: vec![picture],
        })
    };
    Metric::of_curve(workload).iter().map(part).collect()
}

/// Implementations with several points, the best at the last point first; those without it follow.
fn on_curve<'a>(results: &'a Results, contests: &[Contest], metric: Metric) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for &contest in contests.iter().rev() {
        for (name, _) in results.ranking(contest, metric) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let has_several = |name: &&str| {
        let has_it = |&&contest: &&Contest| results.implementations(contest).contains(name);
        contests.iter().filter(has_it).count() > 1
    };
    names.retain(has_several);
    names
}

/// The effect of a stalled reader on the others; `None` if the run stopped before both cases.
fn slow_part(results: &Results, contests: &[Contest]) -> Option<Part> {
    let with = |stalled: u64| {
        contests
            .iter()
            .copied()
            .find(|(_, case)| case.point == Some(stalled))
    };
    let (alone, beside) = (with(0)?, with(1)?);
    let mut table = Table::new([
        "implementation",
        "alone, MB/s",
        "beside it, MB/s",
        "rate, ×",
        "server CPU per message, ×",
        "server memory alone, MB",
        "beside it, MB",
    ]);
    for (implementation, _) in results.ranking(beside, Metric::Megabytes) {
        table.row(
            implementation == OURS,
            vec![
                implementation.into(),
                cell(results.estimate(alone, implementation, Metric::Megabytes)),
                cell(results.estimate(beside, implementation, Metric::Megabytes)),
                cell(results.ratio_of_cases(beside, alone, implementation, Metric::Megabytes)),
                cell(results.ratio_of_cases(beside, alone, implementation, Metric::ServerCpu)),
                cell(results.estimate(alone, implementation, Metric::ServerMemory)),
                cell(results.estimate(beside, implementation, Metric::ServerMemory)),
            ],
        );
    }
    Some(Part {
        title: "slow: servers".into(),
        shape: shape(results, beside),
        table,
        notes: vec!["1: the stalled reader has no effect.".into()],
        pictures: Vec::new(),
    })
}

fn cell(estimate: Option<crate::stats::Estimate>) -> String {
    estimate.map_or("–".into(), |estimate| units::estimate(&estimate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::results;
    use crate::record::tests::run;

    /// The columns of the first table of a run, whose server counted so many instructions.
    fn columns(instructions: Option<u64>) -> Vec<String> {
        let mut run = run(OURS, 0, 1);
        if let Some(measured) = &mut run.measured {
            measured.server.instructions = instructions;
        }
        let results = results(vec![run]);
        let part = ranking_part(&results, results.contests()[0]).expect("a part");
        part.table.columns
    }

    #[test]
    fn instructions_are_shown_where_the_machine_counts_them() {
        let heading = "server instructions per message".to_string();
        assert!(columns(Some(5_000)).contains(&heading));
        assert!(!columns(None).contains(&heading));
    }

    #[test]
    fn a_curve_has_those_with_several_points_best_at_the_last_first() {
        let at = |name, point, cpu| {
            let mut run = run(name, 0, cpu);
            (run.case.workload, run.case.point) = (Workload::Sizes, Some(point));
            run
        };
        let runs = [
            at(OURS, 8, 1),
            at(OURS, 64, 9),
            at("go", 8, 5),
            at("go", 64, 5),
            at("naive", 8, 1),
        ];
        let results = results(runs.into());
        let names = on_curve(&results, &results.contests(), Metric::ServerCpu);
        assert_eq!(names, ["go", OURS]);
    }
}
