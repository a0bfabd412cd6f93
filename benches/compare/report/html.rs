//! A report as one self-contained HTML page, with style and pictures.

use maud::{html, Markup, PreEscaped, DOCTYPE};

use super::map::{Map, Standing, NOT_EXACT};
use super::model::{Part, Report, Section, Table};

const STYLE: &str = include_str!("page.css");
const TITLE: &str = "gRPC server streaming, compared";

pub fn write(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (TITLE) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (TITLE) }
                p.facts {
                    @for (name, value) in &report.facts { (name) ": " (value) br; }
                }
                nav {
                    @for section in &report.sections { a href={ "#" (section.name) } { (section.name) } }
                    a href="#method" { "method" }
                }
                @for sentence in &report.verdict { p { (sentence) } }
                @for each in &report.maps { (map(each)) }
                @if !report.maps.is_empty() { (map_note()) }
                @if !report.doubts.is_empty() {
                    h2 { "Doubtful" }
                    (list(&report.doubts, ""))
                }
                @if let Some(losses) = &report.losses {
                    h2 { "Where we lose" }
                    (list(losses, "Nowhere in this run."))
                }
                @for section in &report.sections { (write_section(section)) }
                h2 { "Correctness" }
                p { (report.checks) }
                @if !report.failures.is_empty() {
                    p { "No figure:" }
                    ul {
                        @for (what, why) in &report.failures { li { b { (what) } ": " (why) } }
                    }
                }
                h2 id="method" { "Method" }
                (list(&report.method, ""))
                h2 { "Versions" }
                div.scroll.prose { (table(&report.versions)) }
                @if !report.goals.rows.is_empty() {
                    h2 id="goals" { "Goals of this project" }
                    (goals(&report.goals))
                }
            }
        }
    };
    page.into_string()
}

fn write_section(section: &Section) -> Markup {
    html! {
        h2 id=(section.name) { (section.name) }
        p { (section.about) }
        @for sentence in &section.standing { p { (sentence) } }
        @for part in &section.parts { (write_part(part)) }
    }
}

fn write_part(part: &Part) -> Markup {
    html! {
        h3 { (part.title) }
        p.shape { (part.shape) }
        @for picture in &part.pictures {
            figure role="img" aria-label=(picture.title) { (PreEscaped(&picture.svg)) }
        }
        div.scroll { (table(&part.table)) }
        @for note in &part.notes { p.note { (note) } }
    }
}

fn table(table: &Table) -> Markup {
    html! {
        table {
            thead { tr { @for column in &table.columns { th { (column) } } } }
            tbody {
                @for row in &table.rows {
                    tr.ours[row.ours] { @for cell in &row.cells { td { (cell) } } }
                }
            }
        }
    }
}

/// Rivals by workloads, coloured by the ratio.
fn map(map: &Map) -> Markup {
    let class = |standing| match standing {
        Standing::MuchBetter => "much-better",
        Standing::Better => "better",
        Standing::Alike => "alike",
        Standing::Worse => "worse",
        Standing::MuchWorse => "much-worse",
    };
    html! {
        div.scroll {
            table.map {
                thead { tr { th { (map.ours) " as a multiple of" } @for implementation in &map.columns { th { (implementation) } } } }
                tbody {
                    @for (case, fields) in &map.rows {
                        tr {
                            td { (case) }
                            @for field in fields {
                                @match field {
                                    Some(field) => td class=(class(field.standing())) title=(field.detail()) { (field.text()) },
                                    None => td { "–" },
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn map_note() -> Markup {
    html! {
        p.note {
            "Costs: below 1, in blue, this project needs less than that implementation; above 1, in orange, more. Strong \
             colours: half or twice. Grey: no difference beyond noise. " (NOT_EXACT) " –: not measured. A figure's interval \
             appears when the pointer is on it; the workloads below have all of them."
        }
    }
}

fn goals(goals: &Table) -> Markup {
    let verdict = |cell: &str| match cell {
        "met" => "met",
        "not met" => "missed",
        _ => "",
    };
    html! {
        div.scroll.prose {
            table {
                thead { tr { @for column in &goals.columns { th { (column) } } } }
                tbody {
                    @for row in &goals.rows {
                        tr { @for cell in &row.cells { td class=(verdict(cell)) { (cell) } } }
                    }
                }
            }
        }
    }
}

fn list(items: &[String], otherwise: &str) -> Markup {
    html! {
        @if items.is_empty() { p { (otherwise) } }
        ul { @for item in items { li { (item) } } }
    }
}

#[cfg(test)]
mod tests {
    use crate::analysis::tests::twice_as_much;

    #[test]
    fn the_page_is_self_contained() {
        let report = super::super::sections::report(&twice_as_much()).expect("a report");
        let page = super::write(&report);
        assert!(page.contains("<svg"), "pictures are in it");
        for from_elsewhere in ["src=", "url(", "@import", "<link"] {
            assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
        }
    }
}
