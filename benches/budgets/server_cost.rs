//! The server's CPU time for a message, relative to the minimum that the API allows. Both
//! servers send the same bytes to the same client, on a core each.

use std::path::PathBuf;

use anyhow::Result;

use crate::common::machine::SERVER_CORE;
use crate::drain_client::{cost, Mode};
use crate::process::{shipped_binary, start, this_binary};
use crate::report::{heading, target, Pairs};

const RESPONSES: u32 = 200_000;
const CALLS: u32 = 5;
const AT_MOST: f64 = 1.15;

/// A server: the floor, or the engine.
struct Variant {
    binary: PathBuf,
    flags: Vec<&'static str>,
}

pub fn measure(rounds: u32) -> Result<()> {
    heading(
        "server-cost",
        "server CPU per message, one stream at a time",
    );
    println!(
        "{CALLS} calls of {RESPONSES} tutorial-sized messages a round, after one to warm up; \
         server on core {SERVER_CORE}, client on another, a fresh server each time"
    );
    let [floor, engine] = [floor()?, engine()?];
    println!("floor: an iterator fed straight into the sink on the poll thread");
    println!("engine: server {}", engine.flags.join(" "));
    let variants = [floor, engine];
    let pairs = Pairs::measure(["floor", "engine"], "µs", rounds, |variant| {
        let Variant { binary, flags } = &variants[variant];
        let server = start(Some(SERVER_CORE), binary, flags)?;
        anyhow::Ok(cost(&server, Mode::Engine, CALLS, RESPONSES)?.server)
    })?;
    pairs.print();
    target(
        &format!("at most {AT_MOST} times the floor"),
        pairs.ratio().median <= AT_MOST,
    );
    Ok(())
}

fn floor() -> Result<Variant> {
    Ok(Variant {
        binary: this_binary()?,
        flags: vec!["floor-server", "--responses", "200000"],
    })
}

fn engine() -> Result<Variant> {
    let flags = "--listen 127.0.0.1:0 --responses 200000 --step 0s --log-level warn";
    Ok(Variant {
        binary: shipped_binary()?,
        flags: flags.split(' ').collect(),
    })
}
