//! The figures that the project holds itself to, each measured on the real `server` binary.
//!
//! `cargo bench --bench figures -- [NAME…]`. One file a figure; each prints its parameters, what it
//! measured, its target and whether that was met. A target that is not met is a result, not an
//! error: the machine may be busy. What makes the run fail is a call that did not end as it should
//! or a message too few. Servers, and clients whose CPU time is measured, are processes of their
//! own: this program again, in a hidden role, where it is not the shipped server.

#![deny(unsafe_code)]

mod cancelled;
mod certified;
mod client_cost;
#[path = "../common/mod.rs"]
mod common;
mod drain_client;
mod floor_server;
mod limits_cost;
mod open_streams;
mod process;
mod report;
mod scrape_cost;
mod server_cost;
mod shutdown;
mod stalled_reader;
mod tls_client;
mod tls_cost;
mod traffic;
mod write_stall;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures the project's figures and says whether their targets are met.
#[derive(Parser)]
#[command(name = "figures", args_conflicts_with_subcommands = true)]
struct Cli {
    /// Which figures; all when none is named
    #[arg(value_enum, value_name = "NAME")]
    names: Vec<Figure>,

    #[command(flatten)]
    options: Options,

    /// Cargo passes this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    role: Option<Role>,
}

/// What can be set for the measurements.
#[derive(Args)]
struct Options {
    /// Rounds, where variants are compared: in each round every variant has its turn
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Streams open at once, in figure 3
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "10000,50000"
    )]
    streams: Vec<usize>,

    /// Calls started a second, in figure 3
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    ramp: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Figure {
    /// 1: server CPU per message, next to an iterator fed straight into the sink
    ServerCost,
    /// 2: client CPU per message, next to `block_on_stream`
    ClientCost,
    /// 3: many streams open at once: lateness, memory, threads
    OpenStreams,
    /// 4: what is left of cancelled calls
    Cancelled,
    /// 5: readers beside one that never reads
    StalledReader,
    /// 6: SIGTERM with live and stalled streams
    Shutdown,
    /// 7: server CPU per message, with all limits on
    LimitsCost,
    /// 8: streams that nobody reads, under a write-stall timeout
    WriteStall,
    /// 9: TLS and mutual TLS: CPU per message, call and connection, beside the clear
    TlsCost,
    /// 10: throughput and server CPU per message while metrics are scraped
    ScrapeCost,
}

impl Figure {
    fn measure(self, options: &Options) -> anyhow::Result<()> {
        match self {
            Figure::ServerCost => server_cost::measure(options.rounds),
            Figure::ClientCost => client_cost::measure(options.rounds),
            Figure::OpenStreams => options
                .streams
                .iter()
                .try_for_each(|&streams| open_streams::measure(streams, options.ramp)),
            Figure::Cancelled => cancelled::measure(),
            Figure::StalledReader => stalled_reader::measure(options.rounds),
            Figure::Shutdown => shutdown::measure(),
            Figure::LimitsCost => limits_cost::measure(options.rounds),
            Figure::WriteStall => write_stall::measure(),
            Figure::TlsCost => tls_cost::measure(options.rounds),
            Figure::ScrapeCost => scrape_cost::measure(options.rounds),
        }
    }
}

/// What this program is when it is a child of itself.
#[derive(Subcommand)]
enum Role {
    #[command(hide = true)]
    FloorServer(floor_server::FloorArgs),
    #[command(hide = true)]
    DrainClient(drain_client::DrainArgs),
    #[command(hide = true)]
    TlsClient(tls_client::TlsArgs),
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match &cli.role {
        Some(Role::FloorServer(args)) => return floor_server::serve(args),
        Some(Role::DrainClient(args)) => return drain_client::run(args),
        Some(Role::TlsClient(args)) => return tls_client::run(args),
        None => {}
    }
    println!("{}", common::machine::Machine::here());
    let names = match &cli.names[..] {
        [] => Figure::value_variants(),
        names => names,
    };
    names.iter().try_for_each(|name| name.measure(&cli.options))
}
