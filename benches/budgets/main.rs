//! The budgets of the project, each measured on the real `server` binary.
//!
//! `scripts/budgets [NAME…]`. Each file measures one budget and prints its parameters,
//! measurements, target and verdict. A missed target is a result, not an error: the machine may be
//! busy. A run fails if a call ends wrongly or a message is lost. Servers, and clients whose CPU
//! time is measured, are separate processes: the shipped server, or this program in a hidden role.

#![deny(unsafe_code)]

mod cancelled;
mod client_cost;
#[path = "../common/mod.rs"]
mod common;
mod company;
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
mod tls_files;
mod traffic;
mod write_stall;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures the project's budgets and compares them with their targets.
#[derive(Parser)]
#[command(name = "budgets", args_conflicts_with_subcommands = true)]
struct Cli {
    /// Budgets [default: all]
    #[arg(value_enum, value_name = "NAME")]
    names: Vec<Budget>,

    #[command(flatten)]
    options: Options,

    #[command(subcommand)]
    role: Option<Role>,
}

/// The options of a measurement.
#[derive(Args)]
struct Options {
    /// Rounds of a comparison; each measures every variant once
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

    /// Streams open at once, for open-streams
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "10000,50000"
    )]
    streams: Vec<usize>,

    /// Calls started a second, for open-streams
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    ramp: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Budget {
    /// Server CPU per message, relative to an iterator fed straight into the sink
    ServerCost,
    /// Client CPU per message, relative to `block_on_stream`
    ClientCost,
    /// Many streams open at once: lateness, memory, threads
    OpenStreams,
    /// Memory and threads after cancelled calls
    Cancelled,
    /// Readers beside one that never reads
    StalledReader,
    /// SIGTERM with live and stalled streams
    Shutdown,
    /// Server CPU per message with all limits on
    LimitsCost,
    /// Stalled streams under a write-stall timeout
    WriteStall,
    /// TLS and mutual TLS: CPU per message, call and connection, relative to clear text
    TlsCost,
    /// Throughput and server CPU per message while metrics are scraped
    ScrapeCost,
    /// A stream, short calls and first responses beside neighbours that stall, compute or block
    Company,
}

impl Budget {
    fn measure(self, options: &Options) -> anyhow::Result<()> {
        match self {
            Budget::ServerCost => server_cost::measure(options.rounds),
            Budget::ClientCost => client_cost::measure(options.rounds),
            Budget::OpenStreams => options
                .streams
                .iter()
                .try_for_each(|&streams| open_streams::measure(streams, options.ramp)),
            Budget::Cancelled => cancelled::measure(),
            Budget::StalledReader => stalled_reader::measure(options.rounds),
            Budget::Shutdown => shutdown::measure(),
            Budget::LimitsCost => limits_cost::measure(options.rounds),
            Budget::WriteStall => write_stall::measure(),
            Budget::TlsCost => tls_cost::measure(options.rounds),
            Budget::ScrapeCost => scrape_cost::measure(options.rounds),
            Budget::Company => company::measure(options.rounds),
        }
    }
}

/// The roles of this program as a child of itself.
#[derive(Subcommand)]
enum Role {
    #[command(hide = true)]
    FloorServer(floor_server::FloorArgs),
    #[command(hide = true)]
    DrainClient(drain_client::DrainArgs),
    #[command(hide = true)]
    TlsClient(tls_client::TlsArgs),
    #[command(hide = true)]
    CompanyServer(company::CompanyArgs),
    #[command(hide = true)]
    Spin,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match &cli.role {
        Some(Role::FloorServer(args)) => return floor_server::serve(args),
        Some(Role::DrainClient(args)) => return drain_client::run(args),
        Some(Role::TlsClient(args)) => return tls_client::run(args),
        Some(Role::CompanyServer(args)) => return company::serve(args),
        Some(Role::Spin) => return company::spin(),
        None => {}
    }
    println!("{}", common::machine::Machine::here());
    let names = match &cli.names[..] {
        [] => Budget::value_variants(),
        names => names,
    };
    names.iter().try_for_each(|name| name.measure(&cli.options))
}
