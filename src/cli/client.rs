//! The client's command line.

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::client_keepalive::ClientKeepaliveArgs;
use super::client_security::ClientSecurityArgs;
use super::commands::Command;
use super::ids::{Ids, IdsError, MOST_IDS};
use super::output::Format;
use super::run::Plan;
use super::units;
use crate::address::Address;
use crate::client::ClientConfig;
use crate::engine::ReceiveTimeouts;

const PATIENCE: &str = "Time and retries";

/// Asks a StreamService for the responses to one id or several, and prints them as they come.
#[derive(Clone, Debug, Parser)]
#[command(name = "client", version)]
pub struct ClientArgs {
    /// Where the server is: HOST:PORT, [::1]:PORT or unix:PATH
    #[arg(long, global = true, value_name = "ADDRESS", default_value_t = Address::tutorial())]
    pub addr: Address,

    /// What to ask for: 1, 1,2,5-9 or -3--1
    ///
    /// May be given several times; 100000 ids at the most.
    #[arg(
        long,
        value_name = "IDS",
        default_value = "1",
        allow_hyphen_values = true
    )]
    pub id: Vec<Ids>,

    /// Take N responses to each id, and cancel the rest of the call [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub take: Option<u64>,

    /// The most ids that are fetched at the same time; all over one connection
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64,
        value_parser = clap::value_parser!(u64).range(1..=1024)
    )]
    pub concurrency: u64,

    /// The most that an id may take, with its retries [default: no limit]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        help_heading = PATIENCE
    )]
    pub timeout: Option<Duration>,

    /// The most to wait for the first response to an id [default: no limit]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        help_heading = PATIENCE
    )]
    pub first_timeout: Option<Duration>,

    /// The most to wait for each further response [default: no limit]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = units::positive_duration,
        help_heading = PATIENCE
    )]
    pub idle_timeout: Option<Duration>,

    /// The most that connecting may take, with its retries; it also ends with --timeout
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        default_value = "10s",
        value_parser = units::positive_duration,
        help_heading = PATIENCE
    )]
    pub connect_timeout: Duration,

    /// Wait for a server that refuses connections, instead of failing [default: fail]
    #[arg(long, global = true, help_heading = PATIENCE)]
    pub wait_for_ready: bool,

    /// Try again N times what fails as if the server were busy
    ///
    /// That is with UNAVAILABLE or RESOURCE_EXHAUSTED before its first response, after a growing
    /// random pause.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = PATIENCE)]
    pub retries: u32,

    /// What a response is printed as
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,

    /// Print no responses, but a summary at the end [default: print them]
    #[arg(long)]
    pub quiet: bool,

    /// TLS, tokens and headers
    #[command(flatten)]
    pub security: ClientSecurityArgs,

    /// Keepalive
    #[command(flatten)]
    pub keepalive: ClientKeepaliveArgs,

    /// Instead of fetching
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl ClientArgs {
    /// What is to be done. Blocks while the files for TLS and of tokens are read.
    ///
    /// # Errors
    /// What clap cannot see for itself; a usage error as clap's own.
    pub fn validate(self) -> Result<Plan, clap::Error> {
        let config = self.check().and_then(|()| self.config()).map_err(|what| {
            let kind = ErrorKind::ValueValidation;
            ClientArgs::command().error(kind, what)
        })?;
        Ok(Plan {
            warnings: self.security.warnings(config.is_in_the_clear()),
            config,
            ids: self.id.into_iter().flat_map(|ids| ids.0).collect(),
            take: self.take,
            concurrency: self.concurrency as usize,
            format: self.format,
            quiet: self.quiet,
            command: self.command,
        })
    }

    fn check(&self) -> Result<(), String> {
        if self.id.iter().map(|ids| ids.0.len()).sum::<usize>() > MOST_IDS {
            return Err(format!("--id: {}", IdsError::TooMany));
        }
        if let (Some(command), Some(flag)) = (&self.command, self.of_fetching()) {
            let name = command.name();
            return Err(format!(
                "{flag} is for fetching, and `{name}` fetches nothing"
            ));
        }
        match &self.addr {
            Address::Tcp { host, .. } if host.is_empty() => Err(format!(
                "--addr: `{}` has no host: a client needs one, such as localhost",
                self.addr
            )),
            Address::Tcp { port: 0, .. } => Err(format!(
                "--addr: `{}` has port 0, where no server can be",
                self.addr
            )),
            _ => self.security.check().and_then(|()| self.keepalive.check()),
        }
    }

    /// The first flag here that means nothing to a command.
    fn of_fetching(&self) -> Option<&'static str> {
        let given = [
            ("--take", self.take.is_some()),
            ("--retries", self.retries != 0),
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
        assert!(error.to_string().contains("--id: these are more"));
    }
}
