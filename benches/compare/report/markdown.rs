//! A report as Markdown.

use super::map::NOT_EXACT;
use super::model::{Part, Report, Section};

pub fn write(report: &Report) -> String {
    let mut text = String::from("# gRPC server streaming, compared\n\n");
    for (name, value) in &report.facts {
        text += &format!("- {name}: {value}\n");
    }
    for sentence in &report.verdict {
        text += &format!("\n{sentence}\n");
    }
    for map in &report.maps {
        text += &format!("\n{}\n", map.to_table().to_markdown());
    }
    if !report.maps.is_empty() {
        text += &format!("\n{NOT_EXACT}\n");
    }
    if !report.doubts.is_empty() {
        text += "\n## Doubtful\n\n";
        text += &list(&report.doubts, "");
    }
    if let Some(losses) = &report.losses {
        text += "\n## Where we lose\n\n";
        text += &list(losses, "Nowhere in this run.");
    }
    for section in &report.sections {
        text += &write_section(section);
    }
    text += &format!("\n## Correctness\n\n{}\n", report.checks);
    if !report.failures.is_empty() {
        text += "\nNo figure:\n\n";
        for (what, why) in &report.failures {
            text += &format!("- {what}: {why}\n");
        }
    }
    text += "\n## Method\n\n";
    text += &list(&report.method, "");
    text += &format!("\n## Versions\n\n{}\n", report.versions.to_markdown());
    if !report.goals.rows.is_empty() {
        text += &format!("\n## Goals\n\n{}\n", report.goals.to_markdown());
    }
    text
}

fn write_section(section: &Section) -> String {
    let mut text = format!("\n## {}\n\n{}\n", section.name, section.about);
    for sentence in &section.standing {
        text += &format!("\n{sentence}\n");
    }
    for part in &section.parts {
        text += &write_part(part);
    }
    text
}

fn write_part(part: &Part) -> String {
    let mut text = format!("\n### {}\n\n`{}`\n", part.title, part.shape);
    for picture in &part.pictures {
        text += &format!("\n![{}]({})\n", picture.title, picture.file);
    }
    text += &format!("\n{}\n", part.table.to_markdown());
    for note in &part.notes {
        text += &format!("\n{note}\n");
    }
    text
}

fn list(items: &[String], otherwise: &str) -> String {
    match items {
        [] => format!("{otherwise}\n"),
        items => items.iter().map(|item| format!("- {item}\n")).collect(),
    }
}
