//! A role of this program: a client that reads whole streams, one after the other, and prints the
//! CPU time of itself and its server. It counts all messages and fails if any is missing, so that
//! sending less never looks cheap.

use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use clap::{Args, ValueEnum};
use fanstream::client::Client;
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::StreamServiceClient;
use fanstream::tutorial::FETCH_RESPONSE;
use futures::executor::block_on_stream;

use crate::common::cpu::cpu_time;
use crate::common::machine::CLIENT_CORE;
use crate::process::{output_on, this_binary, Server};

/// The id of every call.
const ID: i32 = 1;

/// The limit on a whole run.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How a client reads a stream.
#[derive(Clone, Copy, ValueEnum)]
pub enum Mode {
    /// Received on the poll thread into a channel, iterated by a blocking thread.
    Engine,
    /// `futures::executor::block_on_stream`.
    BlockOnStream,
}

#[derive(Args)]
pub struct DrainArgs {
    #[arg(long)]
    addr: String,
    #[arg(long)]
    server_pid: u32,
    #[arg(long, value_enum)]
    mode: Mode,
    #[arg(long)]
    calls: u32,
    #[arg(long)]
    responses: u32,
}

/// The CPU microseconds per message of a run.
pub struct Cost {
    pub client: f64,
    pub server: f64,
}

impl FromStr for Cost {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Cost> {
        let (client, server) = text
            .trim()
            .split_once(' ')
            .context("two numbers expected")?;
        Ok(Cost {
            client: client.parse()?,
            server: server.parse()?,
        })
    }
}

/// Reads `calls` streams from `server` with a client in its own process on its own core.
pub fn cost(server: &Server, mode: Mode, calls: u32, responses: u32) -> Result<Cost> {
    let mode = mode.to_possible_value().context("a hidden mode")?;
    let mut command = Command::new(this_binary()?);
    command
        .arg("drain-client")
        .args(["--addr", server.address()])
        .args(["--mode", mode.get_name()])
        .args(["--server-pid", &server.pid().to_string()])
        .args(["--calls", &calls.to_string()])
        .args(["--responses", &responses.to_string()]);
    output_on(CLIENT_CORE, &mut command, TIMEOUT)?.parse()
}

/// Plays the role.
pub fn run(args: &DrainArgs) -> Result<()> {
    let client = Client::builder(args.addr.as_str()).connect()?;
    // Warms up the allocators and the windows of both sides.
    fetch(&client, args)?;

    let pids = [std::process::id(), args.server_pid];
    let before = pids.map(cpu_time);
    for _ in 0..args.calls {
        fetch(&client, args)?;
    }
    let messages = f64::from(args.calls) * f64::from(args.responses);
    let [client, server] = pids.map(cpu_time);
    let [client_before, server_before] = before;
    let per_message =
        |after: Duration, before: Duration| (after - before).as_secs_f64() * 1e6 / messages;
    println!(
        "{} {}",
        per_message(client?, client_before?),
        per_message(server?, server_before?)
    );
    Ok(())
}

fn fetch(client: &Client, args: &DrainArgs) -> Result<()> {
    let request = Request {
        id: ID,
        ..Request::default()
    };
    match args.mode {
        Mode::Engine => check(client.call(&FETCH_RESPONSE, request), args.responses),
        Mode::BlockOnStream => {
            let stub = StreamServiceClient::new(client.channel().clone());
            let stream = stub.fetch_response(&request)?;
            check(block_on_stream(stream), args.responses)
        }
    }
}

/// Reads a whole stream and checks the number of messages and bytes, the last message, and status
/// OK.
fn check<E>(stream: impl Iterator<Item = Result<Response, E>>, responses: u32) -> Result<()>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let (mut count, mut bytes, mut last) = (0, 0, Response::default());
    for response in stream {
        last = response?;
        count += 1;
        bytes += last.result.len();
    }
    let text = |k: u32| format!("Request #{k} For Id:{ID}");
    ensure!(
        count == responses,
        "{count} messages instead of {responses}"
    );
    ensure!(
        last.result == text(responses - 1),
        "the last one is {last:?}"
    );
    // Cheaper than checking each text.
    let expected = (0..responses).map(|k| text(k).len()).sum::<usize>();
    ensure!(bytes == expected, "{bytes} bytes instead of {expected}");
    Ok(())
}
