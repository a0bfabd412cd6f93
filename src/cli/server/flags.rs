//! The server's flags, and the configuration from them. It must not know how calls are served.

use std::time::Duration;

use clap::Parser;

use super::limits::ServerLimitsArgs;
use super::observability::ServerObservabilityArgs;
use super::security::ServerSecurityArgs;
use super::services::ServerServicesArgs;
use super::source::{first, ServerSourceArgs, SourceError, SourceExtension, SourceName};
use crate::address::Address;
use crate::cli::common::units;
use crate::engine::{Capacity, StreamsConfig, WorkersConfig};
use crate::proto::DESCRIPTORS;
use crate::server::{Server, ServerBuilder, ServerConfig, Service, StartError};
use crate::tutorial::{self, Tutorial};

const LIMITS: &str = "Limits";

/// Serves the tutorial's StreamService: many responses to one request, simulated or from files
#[derive(Clone, Debug, Parser)]
#[command(name = "server", version)]
pub struct ServerArgs {
    /// Address to listen on: HOST:PORT, [::1]:PORT, :PORT (all addresses) or unix:PATH; may be
    /// repeated
    ///
    /// Port 0 takes a free port and prints `listening on HOST:PORT` on standard output.
    #[arg(long, value_name = "ADDRESS", default_values_t = [Address::tutorial()])]
    pub listen: Vec<Address>,

    /// Responses to each request of the tutorial
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub responses: u32,

    /// Delay between responses: worker k answers after k steps; 0s is as fast as the client reads
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = units::duration)]
    pub step: Duration,

    /// Pad each result with dots to this size; 0 is the tutorial's text
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = units::size)]
    pub size: usize,

    /// Begin each call on the poll thread, without a worker
    ///
    /// The first responses of the tutorial never block, so they need none. A call that has none
    /// left to wait for ends without a worker.
    #[arg(long)]
    pub direct: bool,

    /// Maximum number of worker threads
    ///
    /// The pool has one thread for each processor, and more only while tasks wait for them.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 512,
        value_parser = count(1, 4096),
        help_heading = LIMITS
    )]
    pub workers: u64,

    /// Most responses that wait in the channel of each stream
    ///
    /// The channel holds 1 MiB at most. A producer that finds it full waits without a thread.
    #[arg(
        long,
        value_name = "N",
        default_value_t = Capacity::default().messages as u64,
        value_parser = count(1, 1 << 20),
        help_heading = LIMITS
    )]
    pub channel_capacity: u64,

    /// Most open streams; a further call ends with RESOURCE_EXHAUSTED
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000,
        value_parser = count(1, u32::MAX.into()),
        help_heading = LIMITS
    )]
    pub max_streams: u64,

    /// Most open streams of one connection
    ///
    /// A client holds back further calls until a stream ends. Calls of a client that does not are
    /// refused.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u32).range(1..=i32::MAX as i64),
        help_heading = LIMITS
    )]
    pub max_streams_per_connection: u32,

    /// Largest request; a larger one ends with RESOURCE_EXHAUSTED
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "4KiB",
        value_parser = units::size,
        help_heading = LIMITS
    )]
    pub max_request_bytes: usize,

    /// Time for open streams to finish after SIGTERM or SIGINT
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = units::duration)]
    pub grace: Duration,

    /// Source
    #[command(flatten)]
    pub source: ServerSourceArgs,

    /// TLS and tokens
    #[command(flatten)]
    pub security: ServerSecurityArgs,

    /// Limits and keepalive
    #[command(flatten)]
    pub limits: ServerLimitsArgs,

    /// Services for tools
    #[command(flatten)]
    pub services: ServerServicesArgs,

    /// Logs, metrics and traces
    #[command(flatten)]
    pub observability: ServerObservabilityArgs,
}

impl ServerArgs {
    /// A builder of the tutorial's server with this configuration. Its source is opened when it starts.
    pub fn server(&self) -> ServerBuilder {
        let builder = Server::builder()
            .config(self.config())
            .descriptors(DESCRIPTORS);
        // Also if only flags of it are given, which is an error of the start.
        if self.source.source != SourceName::Tutorial || self.source.flag_of_lines().is_some() {
            return builder.extension(SourceExtension(self.clone()));
        }
        let service = tutorial::service(self.tutorial());
        builder.add_service(match self.direct {
            true => service.direct(),
            false => service,
        })
    }

    /// Validates the configuration as [`ServerConfig::check`] does, and opens the source.
    ///
    /// # Errors
    /// Those of a start.
    pub fn check(&self) -> Result<(), StartError> {
        self.config().check()?;
        let opened = self.open_source().map(drop);
        opened.map_err(|error| StartError::Extension {
            name: "--source".into(),
            reason: error.into(),
        })
    }

    /// Opens the source. Returns `None` for the tutorial.
    pub(super) fn open_source(&self) -> Result<Option<Service>, SourceError> {
        let source_name = &self.source.source;
        let of_another = match source_name {
            SourceName::Tutorial => self.source.flag_of_lines(),
            SourceName::Lines(_) => self.flag_of_tutorial(),
        };
        match of_another {
            Some(flag) => Err(SourceError::Flag {
                flag,
                source_name: source_name.clone(),
            }),
            None => self.source.open(),
        }
    }

    /// The first given flag that only the tutorial has.
    fn flag_of_tutorial(&self) -> Option<&'static str> {
        let given = self.tutorial();
        let default = Tutorial::default();
        first(&[
            ("--responses", given.responses != default.responses),
            ("--step", given.step != default.step),
            ("--size", given.size != default.size),
            ("--direct", self.direct),
        ])
    }

    /// The configuration of the tutorial's service.
    pub fn tutorial(&self) -> Tutorial {
        Tutorial {
            responses: self.responses,
            step: self.step,
            size: (self.size > 0).then_some(self.size),
        }
    }

    /// The server's configuration.
    pub fn config(&self) -> ServerConfig {
        ServerConfig {
            listen: self.listen.clone(),
            workers: WorkersConfig {
                max_threads: self.workers as usize,
                ..WorkersConfig::default()
            },
            streams: StreamsConfig {
                capacity: Capacity::messages(self.channel_capacity as usize),
                max_streams: self.max_streams as usize,
                limits: self.limits.of_streams(),
            },
            max_streams_per_connection: Some(self.max_streams_per_connection),
            max_request_bytes: self.max_request_bytes,
            await_requests: true,
            gzip: false,
            tls: self.security.tls(),
            token_file: self.security.token_file.clone(),
            connections: self.limits.of_connections(),
            services: self.services.config(),
            metrics: self.observability.metrics.clone(),
            collector: self.observability.otlp.clone(),
        }
    }
}

fn count(least: u64, most: u64) -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(least..=most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flags_are_the_defaults_of_the_library() {
        let args = ServerArgs::parse_from(["server"]);
        let defaults = ServerConfig {
            listen: vec![Address::tutorial()],
            max_request_bytes: 4096,
            ..ServerConfig::default()
        };
        assert_eq!(args.config(), defaults);
        assert_eq!(args.tutorial(), Tutorial::default());
        assert_eq!(args.grace, Duration::from_secs(30));
    }

    #[test]
    fn a_flag_of_another_source_is_named() {
        for (flags, flag) in [
            (&["--bad-lines", "replace"][..], "--bad-lines"),
            (&["--resume-key", "/no/such"], "--resume-key"),
            (&["--source", "lines:/tmp", "--step", "0s"], "--step"),
            (&["--source", "lines:/tmp", "--direct"], "--direct"),
            (&["--source", "lines:/no/such"], "--source"),
        ] {
            let args = ServerArgs::parse_from([&["server"], flags].concat());
            let error = args.open_source().map(drop).unwrap_err().to_string();
            assert!(error.starts_with(flag), "{error}");
        }
    }

    #[test]
    fn wrong_values_name_their_flag() {
        for wrong in [
            ["--listen", "localhost"],
            ["--responses", "-1"],
            ["--step", "soon"],
            ["--size", "big"],
            ["--source", "lines"],
            ["--source", "lines:"],
            ["--source", "files:/tmp"],
            ["--max-line-bytes", "long"],
            ["--bad-lines", "skip"],
            ["--workers", "0"],
            ["--channel-capacity", "0"],
            ["--max-streams", "0"],
            ["--max-streams-per-connection", "0"],
            ["--grace", "5"],
            ["--max-streams-per-peer", "0"],
            ["--rate-per-peer", "often"],
            ["--burst-per-peer", "5"],
            ["--max-stream-age", "0s"],
            ["--write-stall-timeout", "0"],
            ["--max-connection-age", "30 days"],
            ["--max-connection-age-grace", "5s"],
            ["--max-connection-idle", "0s"],
            ["--keepalive-interval", "500ms"],
            ["--keepalive-timeout", "5s"],
            ["--keepalive-permit", "often"],
            ["--memory-quota", "1KiB"],
            ["--log-level", "loud"],
            ["--log-format", "pretty"],
            ["--metrics", "9090"],
            ["--metrics", "unix:/a"],
            ["--otlp", "localhost:4318"],
            ["--tls-cert", "without a key"],
            ["--tls-key", "without a certificate"],
            ["--tls-client-ca", "without both"],
        ] {
            let flag = wrong[0];
            let arguments = ["server".to_string(), format!("{flag}={}", wrong[1])];
            let error = ServerArgs::try_parse_from(arguments).unwrap_err();
            assert!(error.to_string().contains(flag), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
