//! Selects the pictures of a comparison and their data. `plots` draws them.

use anyhow::Result;

use crate::analysis::{Contest, Results};
use crate::latencies::Latencies;
use crate::metric::Metric;
use crate::pair::Measured;
use crate::workload::{Case, Role, Workload};

use super::model::Picture;
use super::plots::bars::{self, Bar};
use super::plots::lines::{self, Axis, Line};

/// The fractions of the percentile curves, evenly spaced in the number of nines.
fn fractions() -> impl Iterator<Item = (f64, f64)> {
    (0..=60).map(|step| {
        let nines = f64::from(step) / 20.0;
        (nines, 1.0 - 10_f64.powf(-nines))
    })
}

type Which = fn(&Measured) -> Option<&Latencies>;

/// The pictures of one contest.
pub fn of(results: &Results, contest: Contest) -> Result<Vec<Picture>> {
    let (role, case) = contest;
    let metric = Metric::pictured(case.workload, role);
    let mut pictures = vec![bars_of(results, contest, metric)?];
    let late: (&str, Which) = ("lateness", |run| run.late.as_ref());
    let first: (&str, Which) = ("time to the first response", |run| run.first.as_ref());
    let gap: (&str, Which) = ("gap between responses", |run| run.gap.as_ref());
    let curves = match case.workload {
        Workload::Timed => vec![late],
        Workload::First => vec![first, gap],
        _ => vec![],
    };
    for (what, which) in curves {
        pictures.extend(percentiles(results, contest, what, which)?);
    }
    Ok(pictures)
}

fn bars_of(results: &Results, contest: Contest, metric: Metric) -> Result<Picture> {
    let (role, case) = contest;
    let title = match role {
        Role::Server => format!("{case}: {}", metric.name()),
        Role::Client => format!("{case}, clients: {}", metric.name()),
    };
    let ranking = results.ranking(contest, metric);
    let bars: Vec<Bar<'_>> = ranking
        .iter()
        .map(|&(implementation, estimate)| Bar {
            implementation,
            estimate,
        })
        .collect();
    Ok(Picture {
        file: file(&[&case.to_string(), &role.to_string(), "bars"]),
        svg: bars::draw(&title, metric.unit(), &bars)?,
        title,
    })
}

/// Latency by percentile; `None` without latencies.
fn percentiles(
    results: &Results,
    contest: Contest,
    what: &str,
    which: Which,
) -> Result<Option<Picture>> {
    let (role, case) = contest;
    let mut curves = Vec::new();
    for implementation in results.implementations(contest) {
        if let Some(latencies) = results.latencies(contest, implementation, which) {
            // Less than a hundredth of a millisecond counts as on time.
            let value = |fraction| (latencies.quantile(fraction) / 1e3).max(0.01);
            let points = fractions().map(|(nines, fraction)| (nines, value(fraction)));
            curves.push(Line {
                implementation,
                points: points.collect(),
            });
        }
    }
    if curves.is_empty() {
        return Ok(None);
    }
    let title = format!("{case}: {what}, ms, by percentile");
    let axis = Axis {
        label: "percentile",
        scale: |nines| nines,
        ticks: &[
            (0.0, "0"),
            (0.301, "50"),
            (1.0, "90"),
            (2.0, "99"),
            (3.0, "99.9"),
        ],
    };
    Ok(Some(Picture {
        file: file(&[&case.to_string(), &role.to_string(), what]),
        svg: lines::draw(&title, &axis, &curves)?,
        title,
    }))
}

/// The picture of a metric by the varied parameter of a workload.
pub fn curve(
    results: &Results,
    workload: Workload,
    contests: &[Contest],
    metric: Metric,
    implementations: &[&str],
) -> Result<Picture> {
    let varied = match workload {
        Workload::Sizes => "message size",
        Workload::Timed => "open streams",
        _ => "streams in flight",
    };
    let ticks: Vec<(f64, String)> = contests.iter().map(|(_, case)| tick(case)).collect();
    let ticks: Vec<(f64, &str)> = ticks.iter().map(|(at, text)| (*at, &**text)).collect();
    let line = |implementation| {
        let point = |&contest: &Contest| {
            let estimate = results.estimate(contest, implementation, metric)?;
            // The scale is logarithmic.
            let is_positive = estimate.median > 0.0;
            is_positive.then_some((contest.1.point? as f64, estimate.median))
        };
        Line {
            implementation,
            points: contests.iter().filter_map(point).collect(),
        }
    };
    let lines: Vec<Line<'_>> = implementations.iter().copied().map(line).collect();
    let title = format!("{}: {} by {varied}", workload.name(), metric.heading());
    let axis = Axis {
        label: varied,
        scale: f64::log2,
        ticks: &ticks,
    };
    Ok(Picture {
        file: file(&[workload.name(), &metric.name()]),
        svg: lines::draw(&title, &axis, &lines)?,
        title,
    })
}

fn tick(case: &Case) -> (f64, String) {
    (
        case.point.unwrap_or(0) as f64,
        case.point_name().unwrap_or_default(),
    )
}

fn file(parts: &[&str]) -> String {
    let name = parts.join("-").to_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("{}.svg", name.chars().map(plain).collect::<String>())
}
