//! SIGTERM with live and stalled streams on the same connections. Some live streams can
//! finish within the grace period and some cannot. The stalled streams are read only after the
//! server has exited, to learn their status.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use grpcio::RpcStatusCode;

use crate::process::shipped;
use crate::report::{heading, target};
use crate::traffic::{collect, follow, ramp, End, Responses, Traffic};

const RESPONSES: u32 = 5;
const FLAGS: &str = "--listen 127.0.0.1:0 --responses 5 --step 1s --size 64KiB --grace 2s \
                     --log-level error";
const LIVE: usize = 1_000;
const STALLED: usize = 50;
const CONNECTIONS: usize = 10;
/// Live streams started a second: the first starts a second before the last.
const RATE: usize = 1_000;
/// From the start of the last live stream to the signal. The oldest has two seconds to go then,
/// the youngest three. A stalled one has its first response in the window, but for a few bytes.
const UNTIL_SIGNAL: Duration = Duration::from_millis(1_500);
const EXIT_WITHIN: Duration = Duration::from_secs(3);
/// A client that takes longer counts as hanging.
const HANG_TIMEOUT: Duration = Duration::from_secs(10);

pub fn measure() -> Result<()> {
    heading(
        "shutdown",
        &format!("SIGTERM with {LIVE} live and {STALLED} stalled streams"),
    );
    println!("server {FLAGS}");
    println!(
        "{CONNECTIONS} connections with a window of 64 KiB, {RATE} live streams started a second, \
         SIGTERM {UNTIL_SIGNAL:?} after the last one"
    );
    let server = shipped(&FLAGS.split_whitespace().collect::<Vec<_>>())?;
    // The probe would open the window, and no stream would stall.
    let traffic = Traffic::tuned(server.address(), CONNECTIONS, |b| b.http2_bdp_probe(false));

    let stalled = (0..STALLED).map(|n| traffic.call(n));
    let stalled = stalled.collect::<Result<Vec<_>>>()?;
    let (live, live_ends) = mpsc::channel();
    ramp(LIVE, RATE, |n| {
        read(&traffic, n, traffic.call(n)?, live.clone());
        Ok(())
    })?;
    thread::sleep(UNTIL_SIGNAL);
    ensure!(
        live_ends.try_recv().is_err(),
        "a live stream ended before SIGTERM"
    );

    let signalled = Instant::now();
    let status = server.terminate(HANG_TIMEOUT)?;
    let took = signalled.elapsed();
    println!("ended after {took:.2?}: {status}");

    let (read_late, stalled_ends) = mpsc::channel();
    for (n, responses) in stalled.into_iter().enumerate() {
        read(&traffic, n, responses, read_late.clone());
    }
    let live = collect(&live_ends, LIVE, HANG_TIMEOUT)?;
    let stalled = collect(&stalled_ends, STALLED, HANG_TIMEOUT)?;
    print("live", &live);
    print("stalled", &stalled);
    let truly = stalled.iter().all(|call| call.responses < RESPONSES);
    ensure!(truly, "a stalled stream had room for all of its responses");

    target(
        &format!("exit code 0 within {EXIT_WITHIN:?}"),
        status.success() && took <= EXIT_WITHIN,
    );
    let fine = live.iter().chain(&stalled).all(Call::ended_well);
    target("every client sees OK or UNAVAILABLE, none hangs", fine);
    Ok(())
}

/// The observations of one client.
struct Call {
    responses: u32,
    end: End,
}

impl Call {
    /// OK counts only if no response is missing.
    fn ended_well(&self) -> bool {
        match self.end {
            End::Status(RpcStatusCode::UNAVAILABLE) => true,
            end => end == End::OK && self.responses == RESPONSES,
        }
    }
}

/// Starts to read call `n` to its end.
fn read(traffic: &Traffic, n: usize, mut responses: Responses, ended: Sender<Call>) {
    traffic.spawn(n, async move {
        let mut count = 0;
        let end = follow(&mut responses, |_, _| {
            count += 1;
            ControlFlow::Continue(())
        })
        .await;
        let responses = count;
        // The receiver is gone if the measurement has failed.
        let _ = ended.send(Call { responses, end });
    });
}

/// Prints the number of calls for each ending and number of responses.
fn print(which: &str, calls: &[Call]) {
    let mut counts = BTreeMap::new();
    for call in calls {
        let how = format!("{:?} after {} responses", call.end, call.responses);
        *counts.entry(how).or_insert(0) += 1;
    }
    for (how, count) in counts {
        println!("{which}: {count} {how}");
    }
}
