//! Parses the command line into one task. It runs nothing.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::workload::Workload;

/// Compares gRPC server streaming of many libraries: CPU, memory, latency, correctness.
///
/// Writes raw.jsonl, report.md, pictures and index.html into a directory of results. A run of
/// everything takes 50 minutes on two cores.
#[derive(Parser)]
#[command(
    name = "compare",
    args_conflicts_with_subcommands = true,
    after_help = "The section `Method` of a report explains its figures."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    measure: Measure,

    /// Resume the run in DIR with its original settings
    #[arg(long, value_name = "DIR", exclusive = true)]
    resume: Option<PathBuf>,

    /// Compare the runs in A and B, and tell changes from noise
    #[arg(long, num_args = 2, value_names = ["A", "B"], exclusive = true)]
    diff: Option<Vec<PathBuf>>,
}

#[derive(Subcommand)]
enum Command {
    /// Write the report of a run again from its raw data
    Report {
        /// The directory with the results of the run
        dir: PathBuf,
    },
}

/// The arguments of a measurement.
#[derive(Args, Clone)]
pub struct Measure {
    /// Workloads [default: all]
    #[arg(value_enum, value_name = "WORKLOAD")]
    pub workloads: Vec<Workload>,

    /// Implementations [default: all that can be built]
    #[arg(long, alias = "peers", value_name = "NAME,…", value_delimiter = ',')]
    pub implementations: Vec<String>,

    /// Finish in under three minutes: fewer and shorter rounds, fewer workloads, without naive,
    /// python and java unless they are named
    #[arg(long)]
    pub quick: bool,

    /// Check briefly that every implementation and workload works, without figures; exit 1 if
    /// anything fails
    #[arg(long, conflicts_with = "quick")]
    pub smoke: bool,

    /// Rounds; each measures every implementation once [default: 3, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,

    /// Rounds at most: the implementations that the verdict and the goals name take extra rounds
    /// until their ratios are known to ±5 % [default: 12; with --quick none are extra]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub max_rounds: Option<u32>,

    /// The directory for the results [default: compare-results/DATE-COMMIT]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// The client for all servers [default: chosen by the workload]
    #[arg(long, value_name = "NAME")]
    pub client: Option<String>,

    /// The server for all clients [default: tonic]
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,

    /// Run the programs listed in FILE, as scripts/implementations.py prints them, instead of
    /// building them
    #[arg(long, alias = "peer-list", value_name = "FILE")]
    pub implementation_list: Option<PathBuf>,
}

/// One task of this program.
pub enum Task {
    Measure(Measure),
    Resume(PathBuf),
    Report(PathBuf),
    Diff(PathBuf, PathBuf),
}

impl Cli {
    pub fn task(self) -> Task {
        if let Some(Command::Report { dir }) = self.command {
            return Task::Report(dir);
        }
        if let Some(dir) = self.resume {
            return Task::Resume(dir);
        }
        match self.diff.as_deref() {
            Some([before, after]) => Task::Diff(before.clone(), after.clone()),
            _ => Task::Measure(self.measure),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn task(args: &[&str]) -> Option<Task> {
        let args = ["compare"].iter().chain(args);
        Some(Cli::try_parse_from(args).ok()?.task())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn workloads_and_flags() {
        let Some(Task::Measure(args)) =
            task(&["tiny", "bulk", "--implementations", "go,tonic", "--quick"])
        else {
            panic!("not a measurement");
        };
        assert_eq!(args.workloads, [Workload::Tiny, Workload::Bulk]);
        assert_eq!(args.implementations, ["go", "tonic"]);
        assert!(args.quick && !args.smoke);
    }

    #[test]
    fn the_other_tasks() {
        assert!(matches!(task(&["report", "x"]), Some(Task::Report(dir)) if dir == *"x"));
        assert!(matches!(task(&["--resume", "x"]), Some(Task::Resume(_))));
        assert!(matches!(task(&["--diff", "a", "b"]), Some(Task::Diff(_, b)) if b == *"b"));
    }

    #[test]
    fn contradictory_arguments_are_refused() {
        for args in [
            &["--quick", "--smoke"][..],
            &["--resume", "x", "--quick"],
            &["--diff", "a"],
            &["--diff", "a", "b", "tiny"],
            &["--rounds", "0"],
            &["nonsense"],
        ] {
            assert!(task(args).is_none(), "{args:?}");
        }
    }
}
