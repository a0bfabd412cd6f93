//! The server's binary: flags and signals in, exit code out. It must not do what the library can.

use std::process::ExitCode;

use fanstream::cli::exit::Exit;
use fanstream::cli::server::{announce, print, report, ServerArgs};
use fanstream::cli::server_security::explain;
use fanstream::cli::settings::{parse, Settings};
use fanstream::logging;
use fanstream::metrics::DASHBOARD;
use fanstream::server::{Signals, StartError};
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let (args, settings) = parse::<ServerArgs>();
    if args.watching.print_dashboard {
        return print(DASHBOARD).into();
    }
    if settings.check() {
        return check(&args, &settings);
    }
    let _log = logging::start(args.watching.log_format, args.watching.log_level);
    match serve(&args) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let (why, exit) = explain(&error);
            tracing::error!("{}", settings.attribute(&why));
            exit.into()
        }
    }
}

fn check(args: &ServerArgs, settings: &Settings) -> ExitCode {
    let _log = logging::start(args.watching.log_format, LevelFilter::WARN);
    match args.config().check() {
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
    // Before anything is served: a signal that comes early is not lost.
    let mut signals = Signals::register()?;
    let server = args.server().start()?;
    tracing::info!("start server");
    announce(args, &server);

    signals.wait();
    tracing::info!("draining, for {:?} at most", args.grace);
    Ok(report(server.shutdown(args.grace)))
}
