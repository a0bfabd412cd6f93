//! The report of a run: built once from its results, then written as Markdown, as one page of HTML
//! and as pictures. No measuring here.

mod html;
mod markdown;
mod model;
mod pictures;
mod plots;
mod sections;
mod words;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::analysis::Results;
use crate::goals;
use crate::record::Records;

/// Draws the report of the run in `directory` again.
pub fn draw(directory: &Path) -> Result<()> {
    let results = Results::new(Records::read(directory)?);
    write(&results, directory)?;
    print_summary(&results, directory);
    Ok(())
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

/// Prints what matters most, and where the rest is.
pub fn print_summary(results: &Results, directory: &Path) {
    let outcomes = goals::outcomes(results);
    if !outcomes.is_empty() {
        println!("{}", sections::goals(&outcomes).to_text());
    }
    for failure in results.failures() {
        println!("failed: {}: {}", failure.what, failure.why);
    }
    for (peer, why) in &results.header().missing {
        println!("missing: {peer}: {why}");
    }
    println!("{}", directory.join("index.html").display());
}
