//! The server's CPU time for a message with all limits on, relative to a server without
//! limits. Both send the same bytes to the same client, on a core each.

use anyhow::Result;

use crate::common::machine::SERVER_CORE;
use crate::drain_client::{cost, Mode};
use crate::process::{shipped_binary, start};
use crate::report::{heading, target, Pairs};

const RESPONSES: u32 = 200_000;
const CALLS: u32 = 5;
const AT_MOST: f64 = 1.02;

const FLAGS: &str = "--listen 127.0.0.1:0 --responses 200000 --step 0s --log-level warn";
/// Limits that no call reaches.
const LIMITS: &str = "--max-streams-per-peer 1000 --rate-per-peer 1000/s --max-stream-age 1h \
                      --write-stall-timeout 10s --max-connection-age 1h \
                      --max-connection-age-grace 1h --max-connection-idle 1h \
                      --keepalive-interval 10s --keepalive-timeout 10s --keepalive-permit 10s \
                      --memory-quota 1GiB";

pub fn measure(rounds: u32) -> Result<()> {
    heading("limits-cost", "server CPU per message, with all limits on");
    println!(
        "{CALLS} calls of {RESPONSES} tutorial-sized messages a round, after one to warm up; \
         server on core {SERVER_CORE}, client on another, a fresh server each time"
    );
    println!("without: server {FLAGS}");
    println!("with: the same and {LIMITS}");
    let all = format!("{FLAGS} {LIMITS}");
    let variants = [FLAGS, &all].map(|flags| flags.split_whitespace().collect::<Vec<_>>());
    let pairs = Pairs::measure(["without", "with"], "µs", rounds, |variant| {
        let server = start(Some(SERVER_CORE), &shipped_binary()?, &variants[variant])?;
        anyhow::Ok(cost(&server, Mode::Engine, CALLS, RESPONSES)?.server)
    })?;
    pairs.print();
    target(
        &format!("at most {AT_MOST} times that without"),
        pairs.ratio().median <= AT_MOST,
    );
    Ok(())
}
