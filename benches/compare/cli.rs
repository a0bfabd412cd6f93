//! The command line: parsed, and turned into one task. Nothing is run here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::workload::Workload;

/// Compares gRPC server streaming of many libraries: CPU, memory, latency, correctness.
///
/// Writes raw.jsonl, report.md, pictures and index.html into a directory of results. A run of
/// everything takes half an hour on two cores.
#[derive(Parser)]
#[command(
    name = "compare",
    args_conflicts_with_subcommands = true,
    after_help = "What was measured and what it means is explained in the report's own `Method`."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    measure: Measure,

    /// Go on with the run in DIR where it stopped, with the settings that it was started with
    #[arg(long, value_name = "DIR", exclusive = true)]
    resume: Option<PathBuf>,

    /// Say what changed from the run in A to the run in B, and whether it is more than noise
    #[arg(long, num_args = 2, value_names = ["A", "B"], exclusive = true)]
    diff: Option<Vec<PathBuf>>,
}

#[derive(Subcommand)]
enum Command {
    /// Draw the report of a run again from its raw data
    Report {
        /// Where the run's results are
        dir: PathBuf,
    },
}

/// What to measure.
#[derive(Args, Clone)]
pub struct Measure {
    /// Which workloads; all when none is named
    #[arg(value_enum, value_name = "WORKLOAD")]
    pub workloads: Vec<Workload>,

    /// Which peers; all that can be built when none is named
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub peers: Vec<String>,

    /// Under three minutes: fewer rounds, shorter ones, fewer workloads, without naive and python
    #[arg(long)]
    pub quick: bool,

    /// Every peer and every workload for a moment, no figures worth the name; exits 1 if anything fails
    #[arg(long, conflicts_with = "quick")]
    pub smoke: bool,

    /// Rounds; in each, every peer has its turn [default: 3, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,

    /// Where the results go [default: compare-results/DATE-COMMIT]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// The client that all servers are measured with, instead of each workload's own choice
    #[arg(long, value_name = "NAME")]
    pub client: Option<String>,

    /// The server that all clients are measured with [default: tonic]
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,

    /// Programs to run, in the form that scripts/peers.py prints, instead of building them
    #[arg(long, value_name = "FILE")]
    pub peer_list: Option<PathBuf>,
}

/// What this program is asked to do.
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
        let Some(Task::Measure(args)) = task(&["tiny", "bulk", "--peers", "go,tonic", "--quick"])
        else {
            panic!("not a measurement");
        };
        assert_eq!(args.workloads, [Workload::Tiny, Workload::Bulk]);
        assert_eq!(args.peers, ["go", "tonic"]);
        assert!(args.quick && !args.smoke);
    }

    #[test]
    fn the_other_tasks() {
        assert!(matches!(task(&["report", "x"]), Some(Task::Report(dir)) if dir == *"x"));
        assert!(matches!(task(&["--resume", "x"]), Some(Task::Resume(_))));
        assert!(matches!(task(&["--diff", "a", "b"]), Some(Task::Diff(_, b)) if b == *"b"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
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
