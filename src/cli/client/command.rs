//! The client's commands: their names, and how one connects, runs and fails. It must not know the
//! services that they call.

use std::time::Duration;

use clap::Subcommand;
use grpcio::RpcStatusCode;

use super::command_error::CommandError;
use super::command_output::CommandOutput;
use super::describe::DescribeArgs;
use super::failure::{output_failed, Failure};
use super::health::HealthArgs;
use super::list::ListArgs;
use super::terminal::Terminal;
use crate::cli::common::Exit;
use crate::client::{status_name, ClientBuilder, ClientConfig};

/// Timeout of a command that waits for one answer, without `--timeout`.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A command instead of fetching. Flags for the connection may stand before it or behind it.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print the health of the server or of one of its services
    ///
    /// Prints SERVING, NOT_SERVING, UNKNOWN or SERVICE_UNKNOWN. Exits with 0 if it is SERVING, else
    /// with 5. With --watch the last status decides, or the failure of the call. Without --watch the
    /// timeout is 10s, unless --timeout sets it.
    Health(HealthArgs),
    /// List the services of the server, by reflection
    ///
    /// Prints one full name a line. The timeout is 10s, unless --timeout sets it.
    List(ListArgs),
    /// Print the proto of a service, a method or a type, by reflection
    ///
    /// Prints its comments too, if the server sends them. The timeout is 10s, unless --timeout sets
    /// it.
    Describe(DescribeArgs),
}

impl Command {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Command::Health(_) => "health",
            Command::List(_) => "list",
            Command::Describe(_) => "describe",
        }
    }

    /// The service that the command calls.
    fn service(&self) -> &'static str {
        match self {
            Command::Health(_) => "grpc.health.v1.Health",
            Command::List(_) | Command::Describe(_) => "reflection",
        }
    }
}

/// Connects and runs the command. Blocks until it ends.
pub(super) fn run(command: &Command, mut config: ClientConfig, terminal: &Terminal) -> Exit {
    let watches = matches!(command, Command::Health(args) if args.watch);
    if !watches {
        config.timeout = config.timeout.or(Some(TIMEOUT));
    }
    let timeout = config.timeout;
    let client = match ClientBuilder::from(config).connect() {
        Ok(client) => client,
        Err(error) => return fail(terminal, &Failure::of_connecting(&error)),
    };
    let out = &mut CommandOutput::stdout();
    let result = match command {
        Command::Health(args) => args.run(&client, out),
        Command::List(args) => args.run(&client, out),
        Command::Describe(args) => args.run(&client, out),
    };
    match result {
        Ok(exit) => exit,
        Err(CommandError::Output(error)) => output_failed(terminal, &error),
        Err(CommandError::Call(error)) => {
            let mut failure = Failure::of_call(&error, timeout);
            if failure.status == status_name(RpcStatusCode::UNIMPLEMENTED) {
                failure.message = format!("the server does not have {}", command.service());
            }
            fail(terminal, &failure)
        }
    }
}

fn fail(terminal: &Terminal, failure: &Failure) -> Exit {
    failure.print(terminal, None);
    failure.exit
}
