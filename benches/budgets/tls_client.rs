//! A role of this program: a client, with TLS or without, that makes calls one after the other and
//! prints the CPU time of itself and its server. It counts all messages and fails if any is
//! missing.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{ensure, Result};
use clap::Args;
use fanstream::client::{channel_builder, CallSettings, Client};
use fanstream::proto::stream::Request;
use fanstream::tutorial::FETCH_RESPONSE;
use grpcio::{Channel, ChannelCredentials, ChannelCredentialsBuilder, EnvBuilder, Environment};

use crate::common::cpu::cpu_time;

/// The responses of the first call, which connects and warms up both sides.
const WARM_UP: usize = 1_000;

#[derive(Args)]
pub struct TlsArgs {
    /// The address of the server
    #[arg(long)]
    addr: String,
    /// The process id of the server
    #[arg(long)]
    server_pid: u32,
    /// Calls, one after the other
    #[arg(long)]
    calls: usize,
    /// Responses to each call
    #[arg(long)]
    responses: usize,
    /// Open a connection for each call
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

/// Runs the role: prints the CPU time of the client and of the server in microseconds per call.
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
    // Channels to the same address would share one connection.
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

/// Counts up to `most` responses and cancels the rest.
fn fetch(channel: &Channel, most: usize) -> Result<usize> {
    let request = Request {
        id: 1,
        ..Request::default()
    };
    let client = Client::on_channel(channel.clone(), CallSettings::default());
    let responses = client.call(&FETCH_RESPONSE, request);
    let mut count = 0;
    for response in responses.take(most) {
        response?;
        count += 1;
    }
    Ok(count)
}
