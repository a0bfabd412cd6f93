//! The client's JSON: a response or a summary as one object on a line. No byte of a line drives a
//! terminal, wherever the line goes: an escape changes only how the string is written.

use std::io::{self, Write};

use super::record::{milliseconds, Line, Summary, Totals};
use super::visible;

pub(super) fn write_response(writer: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    let Line { id, sequence, .. } = line;
    let elapsed = milliseconds(line.elapsed);
    let result = serde_json::to_string(line.result)?;
    let result = visible::json(&result);
    writeln!(
        writer,
        r#"{{"id":{id},"sequence":{sequence},"elapsed_ms":{elapsed},"result":{result}}}"#
    )
}

pub(super) fn write_summary(writer: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let Totals {
        responses, bytes, ..
    } = summary.totals;
    let first = match summary.totals.first {
        Some(first) => milliseconds(first).to_string(),
        None => "null".into(),
    };
    let duration = milliseconds(summary.duration);
    let status = &summary.status;
    writeln!(
        writer,
        r#"{{"responses":{responses},"bytes":{bytes},"first_ms":{first},"duration_ms":{duration},"status":"{status}"}}"#
    )
}
