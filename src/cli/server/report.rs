//! The server's messages: bound addresses and warnings at the start, the outcome of a shutdown, and
//! errors with their exit code. It must not start or stop anything.

use std::io::Write;

use super::flags::ServerArgs;
use super::source::SourceError;
use crate::address::Address;
use crate::cli::common::Exit;
use crate::metrics::MetricsError;
use crate::security::{FileError, FileRole};
use crate::server::{Drained, Server, StartError};
use crate::telemetry::CollectorError;

/// Prints the ports that the system chose, and logs warnings about exposure and readable secrets.
pub fn announce(args: &ServerArgs, server: &Server) {
    let security = &args.security;
    for (asked, bound) in args.listen.iter().zip(server.bound()) {
        if matches!(asked, Address::Tcp { port: 0, .. }) {
            // A closed standard output has no reader, so it is no failure.
            let _ = writeln!(std::io::stdout(), "listening on {}", bound.address);
        }
        if bound.exposed && security.tls_cert.is_none() {
            let address = &bound.address;
            let tokens = match security.token_file {
                Some(_) => ", nor are the tokens",
                None => "",
            };
            tracing::warn!(
                "{address} can be reached from other machines, and is not encrypted{tokens}"
            );
        }
    }
    if let (Some(Address::Tcp { port: 0, .. }), Some(address)) =
        (&args.observability.metrics, server.metrics_address())
    {
        let _ = writeln!(std::io::stdout(), "metrics on {address}");
    }
    for warning in security
        .warnings()
        .into_iter()
        .chain(args.source.warnings())
    {
        tracing::warn!("{warning}");
    }
}

/// Logs the outcome of a shutdown, and returns its exit code. Unfinished streams are no failure: the
/// grace period is for them. Connections that outlast all streams are one.
pub fn report(drained: Drained) -> Exit {
    if drained.aborted > 0 {
        tracing::warn!("{} streams did not finish in time", drained.aborted);
    }
    if drained.clean {
        return Exit::Complete;
    }
    tracing::error!("connections were still open after all streams had ended; exiting regardless");
    Exit::Failed
}

/// The message and the exit code for a server that did not start.
pub fn explain(error: &StartError) -> (String, Exit) {
    let StartError::Extension { reason, .. } = error else {
        return (error.to_string(), Exit::NoConnection);
    };
    if let Some(file) = reason.downcast_ref::<FileError>() {
        let flag = match file.role {
            FileRole::Certificate => "--tls-cert",
            FileRole::Key => "--tls-key",
            FileRole::Authorities => "--tls-client-ca",
            FileRole::Tokens => "--token-file",
        };
        (format!("{flag}: {file}"), Exit::Usage)
    } else if reason.is::<SourceError>() {
        (reason.to_string(), Exit::Usage)
    } else if reason.is::<MetricsError>() {
        (format!("--metrics: {reason}"), Exit::NoConnection)
    } else if reason.is::<CollectorError>() {
        (format!("--otlp: {reason}"), Exit::Usage)
    } else {
        (error.to_string(), Exit::NoConnection)
    }
}

/// Prints `text` on standard output.
pub fn print(text: &str) -> Exit {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::Complete,
        Err(error) => {
            eprintln!("error: standard output: {error}");
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shutdown_that_is_not_clean_is_a_failure() {
        for (aborted, clean, exit) in [
            (0, true, Exit::Complete),
            (7, true, Exit::Complete),
            (0, false, Exit::Failed),
        ] {
            assert_eq!(report(Drained { aborted, clean }), exit);
        }
    }
}
