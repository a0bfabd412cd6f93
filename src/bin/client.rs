//! The client's binary: flags in, exit code out. Everything else is in the library.

use std::process::ExitCode;

use fanstream::cli::client::{run, ClientArgs};
use fanstream::cli::common::{parse, Exit};
use fanstream::logging;

fn main() -> ExitCode {
    logging::redirect_c_core(log::LevelFilter::Off);
    let (args, settings) = parse::<ClientArgs>();
    match args.validate() {
        Err(error) => settings.exit(error),
        Ok(_) if settings.check() => {
            settings.print();
            Exit::Complete.into()
        }
        Ok(plan) => run(plan).into(),
    }
}
