//! The report of a run: built once from its results, then written as Markdown, as one HTML page and
//! as pictures. It measures nothing.

mod beside;
mod choice;
mod html;
mod map;
mod markdown;
mod model;
mod pictures;
mod plots;
mod scale;
mod sections;
mod words;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::analysis::Results;
use crate::audit;
use crate::doubts;
use crate::goals;
use crate::record::Records;
use crate::settings::Effort;
use crate::units;

/// Writes the report of the run in `directory` again.
pub fn draw(directory: &Path) -> Result<()> {
    let results = Results::new(Records::read(directory)?);
    write(&results, directory)?;
    print_summary(&results, directory)
}

/// Writes the report into `directory`.
pub fn write(results: &Results, directory: &Path) -> Result<()> {
    let report = sections::report(results)?;
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())
    };
    for picture in report.pictures() {
        write(&picture.file, &picture.svg)?;
    }
    write("report.md", &markdown::write(&report))?;
    write("index.html", &html::write(&report))
}

/// Prints the verdicts of a run, or the checks of a smoke, then failures and the path of the page.
pub fn print_summary(results: &Results, directory: &Path) -> Result<()> {
    if results.header().settings.effort == Effort::Smoke {
        print!("{}", checked(results, directory)?);
    } else {
        let outcomes = goals::outcomes(results);
        if !outcomes.is_empty() {
            println!("{}", sections::goals(&outcomes).to_text());
        }
    }
    for finding in audit::findings(results)
        .iter()
        .filter(|finding| finding.fails())
    {
        println!("beside gRPC: {}: {}", finding.contest.1, finding.text());
    }
    if results.header().settings.effort != Effort::Smoke {
        for doubt in doubts::all(results) {
            println!("doubtful: {}", doubt.text());
        }
    }
    for failure in results.failures() {
        println!("failed: {}: {}", failure.what, failure.why);
    }
    for (implementation, why) in &results.header().missing {
        println!("missing: {implementation}: {why}");
    }
    println!("{}", directory.join("index.html").display());
    Ok(())
}

/// The checks that a smoke made, in four lines.
fn checked(results: &Results, directory: &Path) -> Result<String> {
    let header = results.header();
    let names: Vec<&str> = header.versions.keys().map(String::as_str).collect();
    let (pairs, passed) = results.checks();
    let (runs, complete, messages) = results.runs();
    let workloads = header.settings.workloads.iter();
    let workloads: Vec<&str> = workloads.map(|workload| workload.name()).collect();
    let files = fs::read_dir(directory)?.count();
    Ok(format!(
        "implementations: {} built ({}), {} missing\n\
         correctness: {passed} of {pairs} server and client pairs passed, in clear text and over TLS \
         (contents, order and count of messages, statuses, exit codes)\n\
         workloads: {complete} of {runs} runs complete ({}), {} messages counted\n\
         report: {files} files written; the runs are too short for figures\n",
        names.len(),
        names.join(", "),
        header.missing.len(),
        workloads.join(", "),
        units::grouped(messages as f64),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::results_of;
    use crate::analysis::OURS;
    use crate::record::tests::{header, run};

    #[test]
    fn a_smoke_reports_its_checks_and_no_verdicts() {
        let mut header = header();
        header.settings.effort = Effort::Smoke;
        header.versions.insert(OURS.into(), "1".into());
        let mut failed = run("go", 0, 1);
        failed.measured = None;
        let results = results_of(header, vec![run(OURS, 0, 1), failed]);
        let directory = tempfile::tempdir().expect("a directory");
        write(&results, directory.path()).expect("a report");
        let text = checked(&results, directory.path()).expect("a summary");
        assert!(text.contains("1 built (fanstream), 0 missing"), "{text}");
        assert!(
            text.contains("1 of 2 runs complete (tiny), 1,000 messages"),
            "{text}"
        );
        let report = fs::read_to_string(directory.path().join("report.md")).expect("written");
        assert!(!report.contains("## Goals"), "{report}");
    }
}
