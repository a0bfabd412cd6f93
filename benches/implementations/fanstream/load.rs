//! The load client on this library, with the protocol of `benches/README.md`. This file chooses how
//! calls are made and measures nothing.

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

use fanstream::client::{Client, ClientThreads};
use fanstream::proto::stream_grpc::StreamServiceClient;

use common::{Calls, LoadArgs};

/// Up to this many calls in flight get a thread each, as a user of this library would write it.
/// With 64 short calls in flight, threads and futures cost the same CPU time; with 512, threads
/// cost twice as much, for stacks and the scheduler. So larger loads use futures on the poll
/// threads.
const MAX_THREADS: usize = 256;

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

/// A connection: the client for threads, and the stub and its poll thread for futures.
#[derive(Clone)]
pub struct Connection {
    client: Client,
    stub: StreamServiceClient,
    poller: grpcio::Client,
}

fn connect(args: &LoadArgs) -> Result<Arc<[Connection]>, String> {
    // As many poll threads as can work at the same time.
    let processors = available_parallelism().map_or(1, |n| n.get());
    let threads = args.connections.min(processors);
    let threads = ClientThreads::new(threads).map_err(|error| error.to_string())?;
    let adjust = channels::adjust(args)?;
    let client = |_| {
        let adjust = adjust.clone();
        Client::builder(args.addr.as_str())
            .threads(&threads)
            .channel_args(move |channel| adjust(channel))
            .connect_lazy()
    };
    let clients = (0..args.connections).map(client);
    let clients: Vec<Client> = clients
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let channels: Vec<_> = clients
        .iter()
        .map(|client| client.channel().clone())
        .collect();
    channels::connect(&channels);
    let connection = |client: Client| Connection {
        stub: StreamServiceClient::new(client.channel().clone()),
        poller: grpcio::Client::new(client.channel().clone()),
        client,
    };
    Ok(clients.into_iter().map(connection).collect())
}

/// Starts the threads or futures that make the calls.
fn start(connections: &Arc<[Connection]>, calls: &Arc<Calls>) -> io::Result<()> {
    if calls.in_flight() <= MAX_THREADS {
        threads::start(connections, calls)
    } else {
        poll_threads::start(connections, calls)
    }
}

#[cfg(test)]
mod tests;
