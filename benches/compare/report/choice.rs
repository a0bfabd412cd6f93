//! The section "choosing": situations of users, and the measured cost of each stack in them. It
//! must not know any output format.

use crate::analysis::{is_one_of, Contest, Results, OURS};
use crate::metric::{Metric, P50};
use crate::units;
use crate::workload::{Case, Role, Workload};

use super::map::NOT_EXACT;
use super::model::{Part, Section, Table};

/// A situation, with the figure that decides in it.
struct Situation {
    name: &'static str,
    contest: Contest,
    metric: Metric,
}

fn situations() -> Vec<Situation> {
    use Metric::{Calls, ClientCpu, First, Megabytes, ServerCpu, ServerMemory};
    use Role::{Client, Server};
    use Workload::{Arena, Bulk, Short, Timed, Tiny};
    let situation = |name, role, workload, tls, point, metric| Situation {
        name,
        contest: (
            role,
            Case {
                workload,
                tls,
                point,
            },
        ),
        metric,
    };
    vec![
        situation(
            "a busy stream of small messages",
            Server,
            Tiny,
            false,
            None,
            ServerCpu,
        ),
        situation("the same over TLS", Server, Tiny, true, None, ServerCpu),
        situation(
            "reading such a stream",
            Client,
            Tiny,
            false,
            None,
            ClientCpu,
        ),
        situation(
            "many connections, each with busy streams",
            Server,
            Arena,
            false,
            None,
            ServerCpu,
        ),
        situation("many short streams", Server, Short, false, None, Calls),
        situation(
            "calling many short streams",
            Client,
            Short,
            false,
            None,
            Calls,
        ),
        situation(
            "files and other large messages",
            Server,
            Bulk,
            false,
            None,
            Megabytes,
        ),
        situation("the same over TLS", Server, Bulk, true, None, Megabytes),
        situation(
            "10,000 subscriptions that mostly wait",
            Server,
            Timed,
            false,
            Some(10_000),
            ServerMemory,
        ),
        situation(
            "a fast first response at low load",
            Server,
            Workload::First,
            false,
            None,
            First(P50),
        ),
    ]
}

/// The stacks in the order of the columns: a name, and the prefix of its implementations.
const STACKS: [(&str, &str); 6] = [
    (OURS, OURS),
    ("tonic", "tonic"),
    ("connectrpc", "connectrpc"),
    ("grpc-go", "go"),
    ("grpc-java", "java"),
    ("gRPC C++, the best API", "cpp-"),
];

/// `None` if no situation was measured.
pub fn section(results: &Results) -> Option<Section> {
    let columns = ["situation"].into_iter();
    let columns = columns.chain(STACKS.map(|(name, _)| name)).chain(["best"]);
    let mut table = Table::new(columns);
    let measured = results.contests();
    let situations = situations().into_iter();
    for situation in situations.filter(|situation| measured.contains(&situation.contest)) {
        let ranking = results.ranking(situation.contest, situation.metric);
        let best_of = |prefix: &str| {
            ranking
                .iter()
                .position(|(name, _)| is_one_of(name, &[prefix]))
        };
        let places = STACKS.map(|(_, prefix)| best_of(prefix));
        let figures = places.map(|place| {
            let (name, own) = &ranking[place?];
            if *name == OURS {
                return Some(units::number(own.median));
            }
            let ratio = results.ratio(situation.contest, name, OURS, situation.metric)?;
            let mark = units::mark(&ratio);
            Some(format!("{mark}{}", units::estimate(&ratio)))
        });
        let figures = figures.map(|figure| figure.unwrap_or("–".into()));
        let best = places
            .iter()
            .zip(STACKS)
            .filter_map(|(place, (name, _))| Some((*place.as_ref()?, name)));
        let best = best.min().map_or("–", |(_, name)| name);
        let mut cells = vec![format!(
            "{}: {}",
            situation.name,
            situation.metric.heading()
        )];
        cells.extend(figures);
        cells.push(best.into());
        table.row(best == OURS, cells);
    }
    if table.rows.is_empty() {
        return None;
    }
    let part = Part {
        title: "the cost of each stack".into(),
        shape: format!("{OURS}: the figure; the others: as a multiple of it, with the interval"),
        table,
        notes: vec![
            NOT_EXACT.into(),
            "gRPC C++ needs the buffer hint for most of these figures; without it, see the map."
                .into(),
        ],
        pictures: Vec::new(),
    };
    Some(Section {
        name: "choosing".into(),
        about: "Take tonic or connectrpc for code in Rust that is async already, grpc-go for code in Go, grpc-java \
                for code on the JVM, gRPC C++ for code in C++. Take fanstream for blocking code in Rust, such as \
                database drivers, files and C libraries: its figures are the price of not rewriting that code."
            .into(),
        standing: Vec::new(),
        parts: vec![part],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::{results, twice_as_much};
    use crate::record::tests::run;

    #[test]
    fn a_row_has_the_best_of_each_stack() {
        let runs = [
            run(OURS, 0, 2_000),
            run("cpp-sync", 0, 9_000),
            run("cpp-sync-hinted", 0, 1_000),
            run("cpp-sync-hinted-release", 0, 1),
        ];
        let section = section(&results(runs.into())).expect("measured");
        let row = &section.parts[0].table.rows[0];
        let expected = [
            "a busy stream of small messages: server CPU per message, µs",
            "0.002",
            "–",
            "–",
            "–",
            "–",
            "~0.50",
            "gRPC C++, the best API",
        ];
        assert_eq!(row.cells, expected);
        assert!(!row.ours);
    }

    #[test]
    fn the_best_stack_is_named() {
        let section = section(&twice_as_much()).expect("measured");
        let row = &section.parts[0].table.rows[0];
        assert_eq!(row.cells.last().map(String::as_str), Some("grpc-go"));
    }
}
