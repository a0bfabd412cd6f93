//! The client's CPU time for a message, relative to `block_on_stream`. The server is
//! faster than both clients and has a core of its own, so that neither waits for it.

use std::env;
use std::path::PathBuf;

use anyhow::Result;

use crate::common::machine::{CLIENT_CORE, SERVER_CORE};
use crate::drain_client::{cost, Mode};
use crate::process::{shipped_binary, start};
use crate::report::{heading, target, Pairs};

const RESPONSES: u32 = 200_000;
const CALLS: u32 = 3;
const FLAGS: &str = "--listen 127.0.0.1:0 --responses 200000 --step 0s --log-level warn";
const AT_MOST: f64 = 3.0;
const CHEAPER: f64 = 4.0;

pub fn measure(rounds: u32) -> Result<()> {
    heading(
        "client-cost",
        "client CPU per message, one stream at a time",
    );
    let (name, binary) = match go_server() {
        Some(binary) => ("grpc-go (benches/implementations/go)", binary),
        None => ("our own (no grpc-go server was built)", shipped_binary()?),
    };
    println!(
        "{CALLS} calls of {RESPONSES} tutorial-sized messages a round, after one to warm up; \
         client on core {CLIENT_CORE}, server on core {SERVER_CORE}: {name} {FLAGS}"
    );
    let flags: Vec<&str> = FLAGS.split(' ').collect();
    let modes = [Mode::Engine, Mode::BlockOnStream];
    let pairs = Pairs::measure(["engine", "block_on_stream"], "µs", rounds, |variant| {
        let server = start(Some(SERVER_CORE), &binary, &flags)?;
        anyhow::Ok(cost(&server, modes[variant], CALLS, RESPONSES)?.client)
    })?;
    pairs.print();
    target(
        &format!("at most {AT_MOST} µs"),
        pairs.of(0).median <= AT_MOST,
    );
    target(
        &format!("at least {CHEAPER} times cheaper than block_on_stream"),
        pairs.ratio().median >= CHEAPER,
    );
    Ok(())
}

/// The grpc-go server, if it has been built.
fn go_server() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
    let server = cache.join("fanstream/implementations/go/server");
    server.is_file().then_some(server)
}
