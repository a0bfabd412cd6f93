//! The client's binary: flags in, exit code out. Everything else is the library's.

use std::process::ExitCode;

use clap::Parser;
use fanstream::cli::client::ClientArgs;
use fanstream::cli::run::run;
use fanstream::logging;

fn main() -> ExitCode {
    logging::redirect_c_core(log::LevelFilter::Off);
    match ClientArgs::parse().validate() {
        Ok(plan) => run(plan).into(),
        Err(error) => error.exit(),
    }
}
