//! The server's binary: flags and signals in, exit code out. Everything else is in the library.

use std::process::ExitCode;

use fanstream::cli::common::{parse, Exit, Settings};
use fanstream::cli::server::{announce, explain, print, report, trim_heap_when_free, ServerArgs};
use fanstream::logging;
use fanstream::metrics::DASHBOARD;
use fanstream::server::{Signals, StartError};
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let (args, settings) = parse::<ServerArgs>();
    if args.observability.print_dashboard {
        return print(DASHBOARD).into();
    }
    if settings.check() {
        return check(&args, &settings);
    }
    let _log = logging::start(args.observability.log_format, args.observability.log_level);
    match serve(&args) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let (message, exit) = explain(&error);
            tracing::error!("{}", settings.attribute(&message));
            exit.into()
        }
    }
}

fn check(args: &ServerArgs, settings: &Settings) -> ExitCode {
    let _log = logging::start(args.observability.log_format, LevelFilter::WARN);
    match args.check() {
        Ok(()) => {
            settings.print();
            Exit::Complete.into()
        }
        Err(error) => {
            tracing::error!("{}", settings.attribute(&explain(&error).0));
            Exit::Usage.into()
        }
    }
}

fn serve(args: &ServerArgs) -> Result<Exit, StartError> {
    // First, so that an early signal is not lost.
    let mut signals = Signals::register()?;
    let server = args.server().start()?;
    trim_heap_when_free()?;
    tracing::info!("start server");
    announce(args, &server);

    signals.wait_reloading(|| server.reload());
    let grace = humantime::format_duration(args.grace);
    tracing::info!("draining, for {grace} at most");
    Ok(report(server.shutdown(args.grace)))
}
