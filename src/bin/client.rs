//! The client's binary: flags in, exit code out. Everything else is the library's.

use std::process::ExitCode;

use fanstream::cli::client::ClientArgs;
use fanstream::cli::exit::Exit;
use fanstream::cli::run::run;
use fanstream::cli::settings::parse;
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
