//! The load client on this library's own client side. What it says is `benches/peers/README.md`'s;
//! this file chooses how the calls are made, and measures nothing.

#[path = "../common_rust/channels.rs"]
mod channels;
#[path = "../common_rust/load/mod.rs"]
mod common;
mod poll_threads;
mod threads;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;

use fanstream::client::channel_builder;
use fanstream::proto::stream_grpc::StreamServiceClient;
use grpcio::{Channel, EnvBuilder};

use common::{Calls, LoadArgs};

/// Up to so many calls in flight are made by a thread each: what a user of this library writes, and
/// what it is made for. Short calls cost the same CPU time either way with 64 in flight and twice as
/// much by threads with 512, for stacks and the scheduler; so with more than this the calls are
/// futures on the poll threads.
const MOST_THREADS: usize = 256;

fn main() -> ExitCode {
    let args = LoadArgs::from_command_line();
    match connect(&args) {
        Ok(connections) => common::main(&args, |calls| start(&connections, calls)),
        Err(error) => {
            let _ = writeln!(io::stderr(), "load: {error}");
            ExitCode::from(2)
        }
    }
}

/// A connection: what starts calls on it, and has the poll thread that receives them.
#[derive(Clone)]
pub struct Connection {
    stub: StreamServiceClient,
    poller: grpcio::Client,
}

fn connect(args: &LoadArgs) -> Result<Arc<[Connection]>, String> {
    // As many poll threads as can have something to do at the same time.
    let processors = available_parallelism().map_or(1, |n| n.get());
    let threads = args.connections.min(processors);
    let env = Arc::new(EnvBuilder::new().cq_count(threads).build());
    let channels = channels::connect(args, || channel_builder(env.clone()))?;
    let connection = |channel: Channel| Connection {
        stub: StreamServiceClient::new(channel.clone()),
        poller: grpcio::Client::new(channel),
    };
    Ok(channels.into_iter().map(connection).collect())
}

/// Starts whatever makes the calls.
fn start(connections: &Arc<[Connection]>, calls: &Arc<Calls>) -> io::Result<()> {
    if calls.in_flight() <= MOST_THREADS {
        threads::start(connections, calls)
    } else {
        poll_threads::start(connections, calls)
    }
}

#[cfg(test)]
mod tests;
