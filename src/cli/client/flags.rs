//! The client's flags, and a [`Plan`] from them. It must not know how a plan is run.

use std::time::Duration;

use clap::builder::PossibleValue;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};

use super::command::Command;
use super::ids::{Ids, IdsError, MAX_IDS};
use super::keepalive::ClientKeepaliveArgs;
use super::output::Format;
use super::plan::Plan;
use super::security::ClientSecurityArgs;
use crate::address::Address;
use crate::cli::common::{needs, units};
use crate::client::{ClientConfig, OnGap, ResumePolicy};
use crate::engine::ReceiveTimeouts;

const TIME: &str = "Timeouts and retries";

/// Fetches the responses to one or more ids from a StreamService, and prints them as they come
#[derive(Clone, Debug, Parser)]
#[command(name = "client", version)]
pub struct ClientArgs {
    /// Address of the server: HOST:PORT, [::1]:PORT or unix:PATH
    #[arg(long, global = true, value_name = "ADDRESS", default_value_t = Address::tutorial())]
    pub addr: Address,

    /// Ids to fetch: 1, 1,2,5-9 or -3--1
    ///
    /// May be repeated; 100000 ids at most.
    #[arg(
        long,
        value_name = "IDS",
        default_value = "1",
        allow_hyphen_values = true
    )]
    pub id: Vec<Ids>,

    /// Take N responses to each id, then cancel its call [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub take: Option<u64>,

    /// Fetch at most N ids at the same time, over one connection
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64,
        value_parser = clap::value_parser!(u64).range(1..=1024)
    )]
    pub concurrency: u64,

    /// Limit the time of each id, with its retries [default: no limit]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        help_heading = TIME
    )]
    pub timeout: Option<Duration>,

    /// Limit the wait for the first response to an id [default: no limit]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        help_heading = TIME
    )]
    pub first_timeout: Option<Duration>,

    /// Limit the wait for each further response [default: no limit]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        help_heading = TIME
    )]
    pub idle_timeout: Option<Duration>,

    /// Limit the time to connect, with its retries; --timeout ends it too
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = units::positive_duration,
        help_heading = TIME
    )]
    pub connect_timeout: Duration,

    /// Wait for a server that refuses connections [default: fail]
    #[arg(long, global = true, help_heading = TIME)]
    pub wait_for_ready: bool,

    /// Retry a call up to N times if the server is unavailable or busy
    ///
    /// A call is retried if, before its first response, the server ends it with UNAVAILABLE or
    /// RESOURCE_EXHAUSTED, or its connection breaks. The random pause before a retry grows.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = TIME)]
    pub retries: u32,

    /// Go on where a call breaks, if the server has positions, as with --source lines:DIR
    ///
    /// A call goes on after UNAVAILABLE, RESOURCE_EXHAUSTED, a broken connection, and --idle-timeout.
    /// --timeout limits all attempts together. --retries has no effect then.
    #[arg(long, help_heading = TIME)]
    pub reconnect: bool,

    /// Give up after N attempts in a row without a response. The random pause before each grows
    #[arg(long, value_name = "N", default_value_t = ResumePolicy::default().max_attempts, help_heading = TIME)]
    pub max_attempts: u32,

    /// What to do if what follows a position is gone or replaced
    #[arg(long, value_name = "ACTION", value_enum, default_value_t, help_heading = TIME)]
    pub on_gap: OnGap,

    /// Maximum size of a response, such as 64KiB; a larger one ends its call
    #[arg(
        long,
        global = true,
        value_name = "SIZE",
        default_value = "4MiB",
        value_parser = units::size
    )]
    pub max_response_bytes: usize,

    /// Format of printed responses
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,

    /// Print a summary instead of responses
    #[arg(long)]
    pub quiet: bool,

    /// TLS, tokens and headers
    #[command(flatten)]
    pub security: ClientSecurityArgs,

    /// Keepalive
    #[command(flatten)]
    pub keepalive: ClientKeepaliveArgs,

    /// A command instead of fetching
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl ValueEnum for OnGap {
    fn value_variants<'a>() -> &'a [OnGap] {
        &[OnGap::Fail, OnGap::Restart]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            OnGap::Fail => PossibleValue::new("fail").help("End with the server's status"),
            OnGap::Restart => PossibleValue::new("restart").help("Print all responses again"),
        })
    }
}

impl ClientArgs {
    /// Validates the flags. Blocks while it reads the files for TLS and tokens.
    ///
    /// # Errors
    /// A usage error in clap's form, for mistakes that clap cannot see and for unusable files.
    pub fn validate(self) -> Result<Plan, clap::Error> {
        let config = self
            .check()
            .and_then(|()| self.config())
            .map_err(|message| {
                let kind = ErrorKind::ValueValidation;
                ClientArgs::command().error(kind, message)
            })?;
        Ok(Plan {
            warnings: self.security.warnings(config.is_in_the_clear()),
            config,
            ids: self.id.into_iter().flat_map(|ids| ids.0).collect(),
            take: self.take,
            resume: self.reconnect.then_some(ResumePolicy {
                max_attempts: self.max_attempts,
                on_gap: self.on_gap,
            }),
            concurrency: self.concurrency as usize,
            format: self.format,
            quiet: self.quiet,
            command: self.command,
        })
    }

    fn check(&self) -> Result<(), String> {
        if self.id.iter().map(|ids| ids.0.len()).sum::<usize>() > MAX_IDS {
            return Err(format!("--id: {}", IdsError::TooMany));
        }
        let default = ResumePolicy::default();
        let of_reconnecting = [
            ("--max-attempts", self.max_attempts != default.max_attempts),
            ("--on-gap", self.on_gap != default.on_gap),
        ];
        for (flag, given) in of_reconnecting {
            needs(flag, given, "--reconnect", self.reconnect)?;
        }
        if let (Some(command), Some(flag)) = (&self.command, self.flag_of_fetching()) {
            let name = command.name();
            return Err(format!("{flag} is for fetching; `{name}` fetches nothing"));
        }
        match &self.addr {
            Address::Tcp { host, .. } if host.is_empty() => Err(format!(
                "--addr: `{}` has no host: a client needs one, such as localhost",
                self.addr
            )),
            Address::Tcp { port: 0, .. } => Err(format!(
                "--addr: `{}` has port 0, where no server can listen",
                self.addr
            )),
            _ => self.security.check().and_then(|()| self.keepalive.check()),
        }
    }

    /// The first given flag that has no meaning for a command.
    fn flag_of_fetching(&self) -> Option<&'static str> {
        let given = [
            ("--take", self.take.is_some()),
            ("--retries", self.retries != 0),
            ("--reconnect", self.reconnect),
            ("--quiet", self.quiet),
            ("--format", self.format != Format::default()),
            ("--id", self.id != [Ids(vec![1])]),
        ];
        let first = given.into_iter().find(|(_, given)| *given);
        first.map(|(flag, _)| flag)
    }

    fn config(&self) -> Result<ClientConfig, String> {
        let config = ClientConfig {
            connect_timeout: Some(self.connect_timeout),
            wait_for_ready: self.wait_for_ready,
            timeout: self.timeout,
            timeouts: ReceiveTimeouts {
                first: self.first_timeout,
                idle: self.idle_timeout,
            },
            retries: self.retries,
            max_response_bytes: self.max_response_bytes,
            tls: self.security.tls()?,
            token: self.security.token()?,
            headers: self.security.header.clone(),
            keepalive: self.keepalive.keepalive(),
            ..ClientConfig::new(self.addr.clone())
        };
        if config.shows_token_in_the_clear() {
            return Err(format!(
                "--token-file: without --tls the token could be read on the way to {}",
                self.addr
            ));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Plan, clap::Error> {
        ClientArgs::try_parse_from([&["client"], arguments].concat())?.validate()
    }

    #[test]
    fn no_flags_are_the_defaults_of_the_library() {
        let plan = parse(&[]).unwrap();
        assert_eq!(plan.config, ClientConfig::new(Address::tutorial()));
        assert_eq!((plan.ids, plan.take), (vec![1], None));
        assert_eq!((plan.format, plan.quiet), (Format::Tutorial, false));
    }

    #[test]
    fn ids_are_listed_and_repeated_and_may_be_negative() {
        let ids = |arguments: &[&str]| parse(arguments).unwrap().ids;
        assert_eq!(ids(&["--id", "-5"]), [-5]);
        assert_eq!(ids(&["--id", "-3--1", "--id=7,7"]), [-3, -2, -1, 7, 7]);
    }

    #[test]
    fn wrong_values_name_their_flag() {
        for wrong in [
            ["--addr", "localhost"],
            ["--addr", "localhost:0"],
            ["--addr", ":50005"],
            ["--id", "x"],
            ["--id", "2147483648"],
            ["--take", "0"],
            ["--concurrency", "0"],
            ["--timeout", "soon"],
            ["--timeout", "0s"],
            ["--first-timeout", "1"],
            ["--idle-timeout", "-1s"],
            ["--connect-timeout", "0"],
            ["--retries", "-1"],
            ["--max-attempts", "3"],
            ["--on-gap", "restart"],
            ["--on-gap", "skip"],
            ["--max-response-bytes", "big"],
            ["--keepalive-interval", "100ms"],
            ["--keepalive-timeout", "5s"],
            ["--format", "xml"],
            ["--ca", "without --tls"],
            ["--cert", "without --tls"],
            ["--key", "without --cert"],
            ["--server-name", "without --tls"],
            ["--token-file", "/no/such"],
            ["--header", "no colon"],
        ] {
            let flag = wrong[0];
            let error = parse(&[&format!("{flag}={}", wrong[1])]).unwrap_err();
            assert!(error.to_string().contains(flag), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn several_lists_of_ids_have_one_limit() {
        let error = parse(&["--id", "1-100000", "--id", "1"]).unwrap_err();
        assert!(error.to_string().contains("--id: more than 100000 ids"));
    }
}
