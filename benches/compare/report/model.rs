//! The parts of a report, independent of its output format.

use comfy_table::{presets, Table as TextTable};

use super::map::Map;

/// A whole report.
pub struct Report {
    /// The date, commit, machine and settings.
    pub facts: Vec<(String, String)>,
    /// Empty after a smoke, whose runs are too short for verdicts.
    pub verdict: Vec<String>,
    /// Empty after a smoke.
    pub maps: Vec<Map>,
    /// Empty after a smoke.
    pub goals: Table,
    /// Results that nobody should quote; empty after a smoke.
    pub doubts: Vec<String>,
    /// `None` after a smoke.
    pub losses: Option<Vec<String>>,
    pub sections: Vec<Section>,
    pub failures: Vec<(String, String)>,
    pub checks: String,
    pub versions: Table,
    pub method: Vec<String>,
}

/// A workload.
pub struct Section {
    pub name: String,
    pub about: String,
    /// This project's ranks, in sentences.
    pub standing: Vec<String>,
    pub parts: Vec<Part>,
}

/// One comparison of a workload.
pub struct Part {
    pub title: String,
    /// The flags, and the other side.
    pub shape: String,
    pub table: Table,
    pub notes: Vec<String>,
    pub pictures: Vec<Picture>,
}

pub struct Picture {
    /// The file name.
    pub file: String,
    /// The title, also the text alternative.
    pub title: String,
    pub svg: String,
}

/// A table; the first column is text, the others are numbers.
#[derive(Default)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

pub struct Row {
    pub cells: Vec<String>,
    /// Whether the row is this project's.
    pub ours: bool,
}

impl Table {
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Table {
        Table {
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, ours: bool, cells: Vec<String>) {
        self.rows.push(Row { cells, ours });
    }

    /// Removes empty columns.
    pub fn without_empty_columns(mut self) -> Table {
        for column in (1..self.columns.len()).rev() {
            let empty = |row: &Row| row.cells.get(column).is_none_or(|cell| cell == "–");
            if self.rows.iter().all(empty) {
                self.columns.remove(column);
                self.rows
                    .iter_mut()
                    .for_each(|row| drop(row.cells.remove(column)));
            }
        }
        self
    }

    pub fn to_markdown(&self) -> String {
        self.filled(presets::ASCII_MARKDOWN, |row, cell| match row.ours {
            true => format!("**{cell}**"),
            false => cell.to_string(),
        })
    }

    /// Formats the table for a terminal.
    pub fn to_text(&self) -> String {
        self.filled(presets::UTF8_HORIZONTAL_ONLY, |_, cell| cell.to_string())
    }

    fn filled(&self, preset: &str, cell: impl Fn(&Row, &str) -> String) -> String {
        let mut table = TextTable::new();
        table.load_preset(preset);
        table.set_header(&self.columns);
        for row in &self.rows {
            table.add_row(row.cells.iter().map(|text| cell(row, text)));
        }
        table.to_string()
    }
}

impl Report {
    pub fn pictures(&self) -> impl Iterator<Item = &Picture> {
        let parts = self.sections.iter().flat_map(|section| &section.parts);
        parts.flat_map(|part| &part.pictures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_columns_are_left_out() {
        let mut table = Table::new(["implementation", "a", "b"]);
        table.row(true, vec!["x".into(), "–".into(), "1".into()]);
        table.row(false, vec!["y".into(), "–".into(), "–".into()]);
        let table = table.without_empty_columns();
        assert_eq!(table.columns, ["implementation", "b"]);
        assert_eq!(table.rows[1].cells, ["y", "–"]);
    }

    #[test]
    fn ours_stands_out() {
        let mut table = Table::new(["implementation", "a"]);
        table.row(true, vec!["x".into(), "1".into()]);
        assert!(
            table.to_markdown().contains("| **x**"),
            "{}",
            table.to_markdown()
        );
    }
}
