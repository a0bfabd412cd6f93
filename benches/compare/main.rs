//! Compares this project with other implementations of gRPC streaming: every server with the same
//! client, and every client with the same server.
//!
//! `scripts/compare [WORKLOAD…]` measures and reports; `scripts/compare report DIR` writes the
//! report of a run again; `scripts/compare --diff A B` compares two runs. `benches/README.md`
//! describes the implementations and the protocol of their programs.
//!
//! This file only dispatches.

#![deny(unsafe_code)]

mod analysis;
mod audit;
mod certs;
mod claims;
mod cli;
#[path = "../common/mod.rs"]
mod common;
mod correctness;
mod cost;
mod diff;
mod doubts;
mod extent;
mod extra;
mod goals;
mod implementations;
mod instructions;
mod interrupt;
mod latencies;
mod load;
mod metric;
mod pair;
mod parallel;
mod produce;
mod progress;
mod record;
mod report;
mod run;
mod schedule;
mod settings;
mod shape;
mod stats;
mod turn;
mod units;
mod workload;

// The flags that the Rust servers share, compiled here for their tests: this program links no
// C-core.
#[cfg(test)]
#[allow(dead_code)]
#[path = "../implementations/common_rust/server.rs"]
mod shared_server;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Task};
use crate::interrupt::Interrupted;

/// The exit code that a shell gives a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.task() {
        Task::Measure(args) => run::measure(&args),
        Task::Resume(dir) => run::resume(&dir),
        Task::Report(dir) => report::draw(&dir).map(|()| true),
        Task::Diff(before, after) => diff::print(&before, &after).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("compare: {error:#}");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}
