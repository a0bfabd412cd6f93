//! The client's commands that look at a server instead of fetching: which there are, and what they
//! share, which is connecting and how they fail. It must not know the services that they call.

use std::io::{self, Write};
use std::time::Duration;

use clap::Subcommand;
use grpcio::RpcStatusCode;

use super::describe::DescribeArgs;
use super::exit::Exit;
use super::health::HealthArgs;
use super::list::ListArgs;
use super::run::{complain, unwritten, Failure};
use super::terminal::Terminal;
use crate::client::{status_name, Client, ClientConfig};
use crate::engine::ReceiveError;

/// How long a command that waits for one answer waits, unless --timeout says it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What to do instead of fetching. Flags for the connection may stand before it or behind it.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Tell whether the server, or one of its services, is SERVING
    ///
    /// Prints SERVING, NOT_SERVING, UNKNOWN or SERVICE_UNKNOWN. Exits with 0 when it is SERVING, with
    /// 5 when it is not or is not known; with --watch, by what came last, or by how the call failed.
    /// Without --watch it waits for 10s, unless --timeout says otherwise.
    Health(HealthArgs),
    /// List the services that the server has, as it tells over reflection
    ///
    /// Prints the full name of each, one a line. Waits for 10s, unless --timeout says otherwise.
    List(ListArgs),
    /// Print the proto of a service, a method or a type, as the server tells it over reflection
    ///
    /// With its comments, where the server sends them. Waits for 10s, unless --timeout says otherwise.
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

    /// What it calls.
    fn service(&self) -> &'static str {
        match self {
            Command::Health(_) => "grpc.health.v1.Health",
            Command::List(_) | Command::Describe(_) => "reflection",
        }
    }
}

/// How a command ends when it does not end well.
pub(super) enum Ended {
    /// With a failure of its call.
    Call(ReceiveError),
    /// Its output cannot be written.
    Output(io::Error),
}

impl From<ReceiveError> for Ended {
    fn from(error: ReceiveError) -> Ended {
        Ended::Call(error)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended::Output(error)
    }
}

/// Connects and does it. Blocks until it is done.
pub(super) fn look(command: &Command, mut config: ClientConfig, terminal: &Terminal) -> Exit {
    let goes_on = matches!(command, Command::Health(args) if args.watch);
    if !goes_on {
        config.timeout = config.timeout.or(Some(TIMEOUT));
    }
    let client = match Client::connect(&config) {
        Ok(client) => client,
        Err(error) => return fail(terminal, &Failure::connecting(&error)),
    };
    let out = &mut io::stdout().lock();
    let done = match command {
        Command::Health(args) => args.run(&client, out),
        Command::List(args) => args.run(&client, out),
        Command::Describe(args) => args.run(&client, out),
    };
    match done {
        Ok(exit) => exit,
        Err(Ended::Output(error)) => unwritten(terminal, &error),
        Err(Ended::Call(error)) => {
            let mut failure = Failure::fetching(&error, config.timeout);
            if failure.status == status_name(RpcStatusCode::UNIMPLEMENTED) {
                failure.message = format!("the server does not have {}", command.service());
            }
            fail(terminal, &failure)
        }
    }
}

fn fail(terminal: &Terminal, failure: &Failure) -> Exit {
    complain(terminal, None, failure);
    failure.exit
}

/// Prints what a server says, whatever it puts into it.
pub(super) fn print(out: &mut impl Write, text: &str) -> io::Result<()> {
    let control = |c: char| c.is_control() && c != '\n';
    writeln!(out, "{}", text.replace(control, " "))?;
    out.flush()
}
