//! Compares this project with the other ways to stream with gRPC: every peer's server with the same
//! client, every peer's client with the same server.
//!
//! `scripts/compare [WORKLOAD…]` measures and reports; `scripts/compare report DIR` draws a run's
//! report again; `scripts/compare --diff A B` says what changed between two runs. What the peers
//! are and how they are driven is in `benches/peers/README.md`.
//!
//! This file only hands out the work.

#![deny(unsafe_code)]

mod analysis;
mod certs;
mod cli;
#[path = "../common/mod.rs"]
mod common;
mod correctness;
mod cost;
mod diff;
mod goals;
mod instructions;
mod interrupt;
mod latencies;
mod load;
mod metric;
mod pair;
mod peers;
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

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Task};
use crate::interrupt::Interrupted;

/// What a shell reports of a program that Ctrl-C ended.
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
