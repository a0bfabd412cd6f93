//! The CPU time of server and client with TLS and mutual TLS, relative to clear text, per
//! message, call and connection. Each round measures all three.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::{presets::ASCII_MARKDOWN, Table};

use crate::common::machine::{CLIENT_CORE, SERVER_CORE};
use crate::process::{output_on, shipped_binary, start, this_binary};
use crate::report::{heading, Spread};
use crate::tls_files::transport::{Transport, TransportSetup};

/// The limit on one turn.
const TIMEOUT: Duration = Duration::from_secs(60);

const TRANSPORTS: [(&str, Transport); 3] = [
    ("clear", Transport::Clear),
    ("TLS", Transport::Tls),
    ("mutual TLS", Transport::MutualTls),
];

const SIDES: [&str; 2] = ["client", "server"];

/// The work of one measurement.
struct Work {
    name: &'static str,
    /// The unit, and the number of units in a call.
    unit: &'static str,
    units: u32,
    calls: u32,
    responses: u32,
    size: &'static str,
    reconnect: bool,
}

const WORKS: [Work; 4] = [
    Work {
        name: "tiny messages, one stream of 200,000",
        unit: "message",
        units: 200_000,
        calls: 1,
        responses: 200_000,
        size: "0",
        reconnect: false,
    },
    Work {
        name: "calls of five messages, 20,000 on one connection",
        unit: "call",
        units: 1,
        calls: 20_000,
        responses: 5,
        size: "0",
        reconnect: false,
    },
    Work {
        name: "messages of 64 KiB, one stream of 10,000",
        unit: "message",
        units: 10_000,
        calls: 1,
        responses: 10_000,
        size: "64KiB",
        reconnect: false,
    },
    Work {
        name: "a connection with one call of one message, 500 times",
        unit: "connection",
        units: 1,
        calls: 500,
        responses: 1,
        size: "0",
        reconnect: true,
    },
];

pub fn measure(rounds: u32) -> Result<()> {
    heading("tls-cost", "TLS: CPU time relative to clear text");
    println!(
        "{rounds} rounds; server on core {SERVER_CORE}, client on core {CLIENT_CORE}, a fresh \
         server each time; median (least to most)"
    );
    let setups = TRANSPORTS.map(|(_, transport)| transport.set_up());
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header([
        "",
        "CPU of the",
        "clear, µs",
        "TLS, times clear text",
        "mutual TLS, times clear text",
        "TLS, more by, µs",
        "mutual TLS, more by, µs",
    ]);
    for work in &WORKS {
        // By transport, then by round: client and server.
        let mut costs = [const { Vec::new() }; TRANSPORTS.len()];
        for round in 0..rounds as usize {
            for turn in 0..TRANSPORTS.len() {
                let transport = (turn + round) % TRANSPORTS.len();
                costs[transport].push(cost(work, &setups[transport])?);
            }
            let of_round = costs.each_ref().map(|rounds: &Vec<[f64; 2]>| rounds[round]);
            println!("{}, round {}: {}", work.name, round + 1, listed(of_round));
        }
        // The server first: its CPU time matters more.
        for side in [1, 0] {
            let of = |transport: usize| costs[transport].iter().map(move |cost| cost[side]);
            let beside = |transport: usize, by: fn(f64, f64) -> f64| {
                Spread::of(
                    of(transport)
                        .zip(of(0))
                        .map(|(this, clear)| by(this, clear)),
                )
            };
            table.add_row([
                work.name.to_string(),
                format!("{}, per {}", SIDES[side], work.unit),
                Spread::of(of(0)).to_string(),
                beside(1, |this, clear| this / clear).to_string(),
                beside(2, |this, clear| this / clear).to_string(),
                beside(1, |this, clear| this - clear).to_string(),
                beside(2, |this, clear| this - clear).to_string(),
            ]);
        }
    }
    println!("{table}");
    Ok(())
}

/// The CPU microseconds per unit of client and server.
fn cost(work: &Work, setup: &TransportSetup) -> Result<[f64; 2]> {
    let responses = work.responses.to_string();
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--step",
        "0s",
        "--log-level",
        "warn",
    ];
    let of_work = ["--responses", &responses, "--size", work.size];
    let of_setup = setup.server_flags();
    let of_setup = of_setup.iter().map(String::as_str);
    let flags: Vec<_> = flags.into_iter().chain(of_work).chain(of_setup).collect();
    let server = start(Some(SERVER_CORE), &shipped_binary()?, &flags)?;
    let mut client = Command::new(this_binary()?);
    client
        .arg("tls-client")
        .args(["--addr", server.address()])
        .args(["--server-pid", &server.pid().to_string()])
        .args(["--calls", &work.calls.to_string()])
        .args(["--responses", &responses])
        .args(work.reconnect.then_some("--reconnect"))
        .args(setup.client_flags());
    let printed = output_on(CLIENT_CORE, &mut client, TIMEOUT)?;
    let numbers = printed.trim().split_once(' ').context("two numbers")?;
    let per_unit = |text: &str| anyhow::Ok(text.parse::<f64>()? / f64::from(work.units));
    Ok([per_unit(numbers.0)?, per_unit(numbers.1)?])
}

fn listed(costs: [[f64; 2]; TRANSPORTS.len()]) -> String {
    let of_wires = TRANSPORTS.iter().zip(costs);
    let texts = of_wires.map(|((name, _), [client, server])| {
        format!("{name} server {server:.2} µs, client {client:.2} µs")
    });
    texts.collect::<Vec<_>>().join("; ")
}
