//! A role of this program: a client, with TLS or without, that makes calls one after the other and
//! prints the CPU time of itself and its server. It counts all messages and fails if any is
//! missing.

use std::path::PathBuf;

use anyhow::{ensure, Result};
use clap::Args;
use fanstream::client::{Client, ClientBuilder, ClientThreads};
use fanstream::proto::stream::Request;
use fanstream::security::{Authorities, ClientIdentity, ClientTls};
use fanstream::tutorial::FETCH_RESPONSE;

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
    let builder = builder(args)?;
    let connected = builder.clone().connect_lazy()?;
    fetch(&connected, WARM_UP.min(args.responses))?;
    let pids = [std::process::id(), args.server_pid];
    let before = pids.map(cpu_time);
    for _ in 0..args.calls {
        let responses = match args.reconnect {
            true => fetch(&builder.clone().connect_lazy()?, usize::MAX)?,
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

fn builder(args: &TlsArgs) -> Result<ClientBuilder> {
    let builder = Client::builder(args.addr.as_str()).threads(&ClientThreads::new(1)?);
    Ok(match args.tls {
        true => builder.tls(tls(args)?),
        false => builder,
    })
}

fn tls(args: &TlsArgs) -> Result<ClientTls> {
    let mut tls = ClientTls::default();
    if let Some(ca) = &args.ca {
        tls.authorities = Some(Authorities::from_file(ca)?);
    }
    if let (Some(cert), Some(key)) = (&args.cert, &args.key) {
        tls.identity = Some(ClientIdentity::from_files(cert, key)?);
    }
    Ok(tls)
}

/// Counts up to `most` responses and cancels the rest.
fn fetch(client: &Client, most: usize) -> Result<usize> {
    let request = Request {
        id: 1,
        ..Request::default()
    };
    let responses = client.call(&FETCH_RESPONSE, request);
    let mut count = 0;
    for response in responses.take(most) {
        response?;
        count += 1;
    }
    Ok(count)
}
