//! The section "beside gRPC": what each server's program does that its gRPC library does not. It
//! must not know any output format.

use crate::analysis::{Contest, Results, OURS};
use crate::audit;
use crate::units;
use crate::workload::{Case, Role, Workload};

use super::model::{Part, Section, Table};

const KIB: u64 = 1024;

/// Sizes of a response, each with the workload whose figure it goes into.
const MAKING: [(u64, Workload); 2] = [(0, Workload::Tiny), (64 * KIB, Workload::Bulk)];

/// `None` if no program was audited.
pub fn section(results: &Results) -> Option<Section> {
    let mut table = Table::new([
        "implementation",
        "making a text, ns",
        "of tiny",
        "making 64 KiB, µs",
        "of bulk",
        "first response due, × at once",
        "gap beyond the step",
    ]);
    for name in results.header().versions.keys() {
        let mut cells = vec![name.clone()];
        for (size, workload) in MAKING {
            let micros = results.making(name, size);
            let unit = if size == 0 { 1e3 } else { 1.0 };
            cells.push(micros.map_or("–".into(), |micros| units::number(unit * micros)));
            let share = audit::whole_making(results, contest(workload), name);
            cells.push(share.map_or("–".into(), percent));
        }
        let start = audit::start(results, name);
        cells.push(start.map_or("–".into(), |start| units::estimate(&start)));
        cells.push(audit::timer(results, name).map_or("–".into(), percent));
        if cells.iter().skip(1).any(|cell| cell != "–") {
            table.row(name == OURS, cells);
        }
    }
    if table.rows.is_empty() {
        return None;
    }
    let part = Part {
        title: "what the servers' programs do themselves".into(),
        shape: "server --produce N, without a client; shares of the figures above".into(),
        table: table.without_empty_columns(),
        notes: Vec::new(),
        pictures: Vec::new(),
    };
    Some(Section {
        name: "beside".into(),
        about: "A figure must measure a gRPC library and not the program around it. Making a response may take 5 % more \
                of the server's CPU time for a message than the cheapest program takes for it, a first response that is \
                due at once may come 10 % later than from a server without timers, and a gap may exceed the step by \
                5 %. What exceeds that stands below its table with the reason; without a stated reason the run fails."
            .into(),
        standing: Vec::new(),
        parts: vec![part],
    })
}

fn contest(workload: Workload) -> Contest {
    let case = Case {
        workload,
        tls: false,
        point: None,
    };
    (Role::Server, case)
}

fn percent(share: f64) -> String {
    format!("{} %", units::number(100.0 * share))
}
