//! The section "scale": the load that machines carry, computed from the measured costs, and the
//! resource that ends it. It must not know any output format.

use crate::analysis::{Contest, Results, OURS};
use crate::metric::Metric;
use crate::units;
use crate::workload::{Case, Role, Workload};

use super::model::{Part, Section, Table};

/// The machine of the computation.
const CORES: f64 = 8.0;
const MEMORY_BYTES: f64 = 32e9;
/// Ten gigabits.
const NETWORK_BYTES_A_SECOND: f64 = 1.25e9;

const FLEETS: [f64; 3] = [1.0, 10.0, 1_000.0];

/// The resources that one unit of a load needs. 0: none.
#[derive(Clone, Copy, Default)]
struct Need {
    cpu_seconds: f64,
    network_bytes: f64,
    memory_bytes: f64,
}

impl Need {
    /// The most units that a machine carries, and the resource that ends it.
    fn limit(self) -> (f64, &'static str) {
        let limits = [
            (CORES / self.cpu_seconds, "CPU"),
            (NETWORK_BYTES_A_SECOND / self.network_bytes, "network"),
            (MEMORY_BYTES / self.memory_bytes, "memory"),
        ];
        let by_amount = |a: &&(f64, &str), b: &&(f64, &str)| a.0.total_cmp(&b.0);
        *limits.iter().min_by(by_amount).unwrap_or(&limits[0])
    }
}

/// `None` if no load was measured.
pub fn section(results: &Results) -> Option<Section> {
    let headings = ["load", "on one core"].into_iter().map(String::from);
    let fleets = FLEETS.map(|machines| match machines {
        1.0 => "1 machine".into(),
        machines => format!("{} machines", units::grouped(machines)),
    });
    let mut table = Table::new(headings.chain(fleets).chain(["ended by".into()]));
    for (name, need) in needs(results) {
        let (most, by) = need.limit();
        let core = match need.cpu_seconds {
            0.0 => "–".into(),
            seconds => rough(1.0 / seconds),
        };
        let mut cells = vec![name, core];
        cells.extend(FLEETS.map(|machines| rough(machines * most)));
        cells.push(by.into());
        table.row(false, cells);
    }
    if table.rows.is_empty() {
        return None;
    }
    let part = Part {
        title: "computed from this project's figures".into(),
        shape: format!(
            "a machine: {CORES} cores like the measured one, {} GB of memory, 10 Gbit/s",
            MEMORY_BYTES / 1e9
        ),
        table,
        notes: vec![
            "Computed, not measured: at full load, with as many connections as cores or more, and a load balancer that \
             spreads them. Network counts the payload only. Operating systems and other programs need their share."
                .into(),
        ],
        pictures: Vec::new(),
    };
    Some(Section {
        name: "scale".into(),
        about: "The load that machines carry, and the resource that ends it.".into(),
        standing: Vec::new(),
        parts: vec![part],
    })
}

fn needs(results: &Results) -> Vec<(String, Need)> {
    let contest = |workload, tls, point| -> Contest {
        let case = Case {
            workload,
            tls,
            point,
        };
        (Role::Server, case)
    };
    let messages = |name: &str, contest: Contest| {
        let cpu = results.estimate(contest, OURS, Metric::ServerCpu)?;
        let need = Need {
            cpu_seconds: cpu.median / 1e6,
            network_bytes: message_bytes(results, contest)?,
            ..Need::default()
        };
        Some((name.to_string(), need))
    };
    let calls = |name: &str, contest: Contest| {
        let cpu = results.estimate(contest, OURS, Metric::ServerCpuOfCall)?;
        let need = Need {
            cpu_seconds: cpu.median / 1e6,
            ..Need::default()
        };
        Some((name.to_string(), need))
    };
    let streams = |name: &str, count: u64| {
        let contest = contest(Workload::Timed, false, Some(count));
        let memory = results.estimate(contest, OURS, Metric::ServerMemory)?;
        let need = Need {
            memory_bytes: memory.median * 1e6 / count as f64,
            ..Need::default()
        };
        Some((name.to_string(), need))
    };
    let all = [
        messages(
            "small messages a second, few busy streams",
            contest(Workload::Tiny, false, None),
        ),
        messages(
            "small messages a second, many busy streams",
            contest(Workload::Arena, false, None),
        ),
        calls(
            "calls of five messages a second",
            contest(Workload::Short, false, None),
        ),
        messages(
            "messages of 64 KiB a second",
            contest(Workload::Bulk, false, None),
        ),
        messages(
            "messages of 64 KiB a second over TLS",
            contest(Workload::Bulk, true, None),
        ),
        streams("open streams that mostly wait", 10_000),
    ];
    all.into_iter().flatten().collect()
}

fn message_bytes(results: &Results, contest: Contest) -> Option<f64> {
    let (_, run) = results.repetitions(contest, OURS).next()?;
    Some(run.bytes as f64 / run.messages as f64)
}

/// Two significant digits: a computation from medians carries no more.
fn rough(value: f64) -> String {
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    units::grouped((value / unit).round() * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::twice_as_much;

    #[test]
    fn the_scarcest_resource_ends_a_load() {
        let need = Need {
            cpu_seconds: 1e-6,
            network_bytes: 10.0,
            ..Need::default()
        };
        assert_eq!(need.limit(), (8e6, "CPU"));
        let need = Need {
            network_bytes: 1e3,
            ..need
        };
        assert_eq!(need.limit(), (1.25e6, "network"));
        let need = Need {
            memory_bytes: 20e3,
            ..Need::default()
        };
        assert_eq!(need.limit(), (1.6e6, "memory"));
    }

    #[test]
    fn two_digits_are_enough() {
        assert_eq!(rough(882_345.0), "880,000");
        assert_eq!(rough(12.4), "12");
    }

    #[test]
    fn a_measured_load_has_a_row() {
        let section = section(&twice_as_much()).expect("measured");
        let row = &section.parts[0].table.rows[0];
        assert_eq!(row.cells[1], "250,000");
        // The messages of the example are large.
        assert_eq!(row.cells.last().map(String::as_str), Some("network"));
    }
}
