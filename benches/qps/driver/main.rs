//! `qps-driver`: directs a server worker and a client worker of gRPC's benchmark through one scenario
//! and prints its result. The workers may be those of any implementation.

#[path = "../proto.rs"]
mod proto;

mod outcome;
mod scenario;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use proto::worker::RpcType;
use worker::Worker;

/// Directs two workers of gRPC's benchmark through a scenario and prints its result
#[derive(Parser)]
#[command(name = "qps-driver")]
struct Flags {
    /// Worker that runs the server, HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    server_worker: String,

    /// Worker that runs the client, HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    client_worker: String,

    #[command(flatten)]
    scenario: Scenario,

    /// End the workers afterwards
    #[arg(long)]
    quit: bool,
}

/// The scenario of gRPC's benchmark.
#[derive(clap::Args)]
struct Scenario {
    /// Kind of calls
    #[arg(
        long,
        value_enum,
        value_name = "TYPE",
        default_value = "streaming-from-server"
    )]
    rpc_type: Calls,

    /// Channels of the client
    #[arg(long, value_name = "N", default_value_t = 1)]
    channels: i32,

    /// Calls at the same time on each channel
    #[arg(long, value_name = "N", default_value_t = 1)]
    outstanding: i32,

    /// Bytes of a request's payload
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    req_size: i32,

    /// Bytes of a response's payload
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    resp_size: i32,

    /// Time before the measurement
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    warmup: Duration,

    /// Time of the measurement
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    benchmark: Duration,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Calls {
    Unary,
    Streaming,
    StreamingFromClient,
    StreamingFromServer,
    StreamingBothWays,
}

impl Calls {
    fn rpc_type(self) -> RpcType {
        match self {
            Calls::Unary => RpcType::UNARY,
            Calls::Streaming => RpcType::STREAMING,
            Calls::StreamingFromClient => RpcType::STREAMING_FROM_CLIENT,
            Calls::StreamingFromServer => RpcType::STREAMING_FROM_SERVER,
            Calls::StreamingBothWays => RpcType::STREAMING_BOTH_WAYS,
        }
    }
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "qps-driver: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether there were responses and all calls that ended were OK.
fn run(flags: &Flags) -> anyhow::Result<bool> {
    let limit = flags.scenario.warmup + flags.scenario.benchmark;
    let server = Worker::new("server", &flags.server_worker, limit);
    let client = Worker::new("client", &flags.client_worker, limit);
    let outcome = scenario::run(&flags.scenario, &server, &client);
    if flags.quit {
        server.quit()?;
        if flags.client_worker != flags.server_worker {
            client.quit()?;
        }
    }
    let outcome = outcome?;
    write!(io::stdout(), "{outcome}")?;
    Ok(outcome.is_complete())
}
