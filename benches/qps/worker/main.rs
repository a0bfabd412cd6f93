//! `qps-worker`: a worker of gRPC's benchmark (`grpc.testing.WorkerService`), which runs this
//! library's server and blocking client as a driver directs. This file starts and ends the worker.

#[path = "../proto.rs"]
mod proto;

mod client;
mod config;
mod histogram;
mod recorder;
mod server;
mod service;
mod timer;

use std::io::{self, Write};
use std::time::Duration;

use clap::Parser;
use fanstream::address::Address;
use fanstream::server::Server;

/// The time for the response of QuitWorker to leave.
const GRACE: Duration = Duration::from_secs(1);

/// A worker of gRPC's benchmark: runs a server or a client as a driver directs
#[derive(Parser)]
#[command(name = "qps-worker")]
struct Flags {
    /// Port for the driver; 0 picks one
    #[arg(long = "driver_port", value_name = "N", default_value_t = 10_000)]
    driver_port: u16,

    /// Port of the benchmark server if its configuration has none; 0 picks one
    #[arg(long = "server_port", value_name = "N", default_value_t = 0)]
    server_port: u16,

    /// Host name or address to listen on; `::` lets other machines direct this worker
    #[arg(long, value_name = "HOST", default_value = "localhost")]
    host: String,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let (quit, quits) = crossbeam_channel::bounded(1);
    let defaults = server::Defaults {
        host: flags.host.clone(),
        port: flags.server_port,
    };
    let mut worker = Server::builder().listen(Address::Tcp {
        host: flags.host,
        port: flags.driver_port,
    });
    for part in service::parts(defaults, quit) {
        worker = worker.add_service(part);
    }
    let worker = worker.start()?;
    writeln!(io::stdout(), "listening on {}", worker.bound()[0].address)?;
    // The sender lives as long as the server.
    let _ = quits.recv();
    worker.shutdown(GRACE);
    Ok(())
}
