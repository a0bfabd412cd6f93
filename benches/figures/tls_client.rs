//! A role of this program: a client of any wire that makes calls, one after the other, and prints
//! what they cost itself and its server. It counts what it gets and fails when anything is missing.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{ensure, Result};
use clap::Args;
use fanstream::client::channel_builder;
use fanstream::engine::{receive, Capacity, ReceiveTimeouts};
use fanstream::proto::stream::Request;
use fanstream::proto::stream_grpc::StreamServiceClient;
use grpcio::{
    Channel, ChannelCredentials, ChannelCredentialsBuilder, Client, EnvBuilder, Environment,
};

use crate::common::cpu::cpu_time;

/// Responses that are taken of the first call, which connects and warms both sides up.
const WARM_UP: usize = 1_000;

#[derive(Args)]
pub struct TlsArgs {
    /// Where the server is
    #[arg(long)]
    addr: String,
    /// Whose CPU time counts as the server's
    #[arg(long)]
    server_pid: u32,
    /// Calls, one after the other
    #[arg(long)]
    calls: usize,
    /// Responses that each call must have
    #[arg(long)]
    responses: usize,
    /// Each call has a connection of its own
    #[arg(long)]
    reconnect: bool,
    /// As the client's flags
    #[arg(long)]
    tls: bool,
    #[arg(long)]
    ca: Option<PathBuf>,
    #[arg(long)]
    cert: Option<PathBuf>,
    #[arg(long)]
    key: Option<PathBuf>,
}

/// Plays the role: prints the CPU time of the client and of the server, in microseconds a call.
pub fn run(args: &TlsArgs) -> Result<()> {
    let env = Arc::new(EnvBuilder::new().cq_count(1).build());
    let connected = connect(&env, args)?;
    fetch(&connected, WARM_UP.min(args.responses))?;
    let pids = [std::process::id(), args.server_pid];
    let before = pids.map(cpu_time);
    for _ in 0..args.calls {
        let responses = match args.reconnect {
            true => fetch(&connect(&env, args)?, usize::MAX)?,
            false => fetch(&connected, usize::MAX)?,
        };
        let wanted = args.responses;
        ensure!(responses == wanted, "{responses} responses, not {wanted}");
    }
    let after = pids.map(cpu_time);
    let mut costs = Vec::new();
    for (before, after) in before.into_iter().zip(after) {
        costs.push((after? - before?).as_secs_f64() * 1e6 / args.calls as f64);
    }
    println!("{} {}", costs[0], costs[1]);
    Ok(())
}

fn connect(env: &Arc<Environment>, args: &TlsArgs) -> Result<Channel> {
    // Otherwise channels to the same address share one connection.
    let builder = channel_builder(env.clone()).use_local_subchannel_pool(true);
    let builder = match args.tls {
        true => builder.set_credentials(credentials(args)?),
        false => builder,
    };
    Ok(builder.connect(&args.addr))
}

fn credentials(args: &TlsArgs) -> Result<ChannelCredentials> {
    let mut builder = ChannelCredentialsBuilder::new();
    if let Some(ca) = &args.ca {
        builder = builder.root_cert(fs::read(ca)?);
    }
    if let (Some(cert), Some(key)) = (&args.cert, &args.key) {
        builder = builder.cert(fs::read(cert)?, fs::read(key)?);
    }
    Ok(builder.build())
}

/// How many responses came, of `most` at the most; the rest is cancelled.
fn fetch(channel: &Channel, most: usize) -> Result<usize> {
    let request = Request {
        id: 1,
        ..Request::default()
    };
    let stream = StreamServiceClient::new(channel.clone()).fetch_response(&request)?;
    let poller = Client::new(channel.clone());
    let responses = receive(
        &poller,
        stream,
        Capacity::default(),
        ReceiveTimeouts::default(),
    );
    let mut count = 0;
    for response in responses.take(most) {
        response?;
        count += 1;
    }
    Ok(count)
}
