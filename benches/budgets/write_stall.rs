//! Stalled streams under a write-stall timeout, beside a reader that keeps reading: they
//! end in time and not before, and the server frees their memory.
//!
//! A client learns that a stream has ended only by reading it, and then it is no longer stalled. So
//! some streams are read shortly before the timeout and must continue, and the rest at the latest
//! allowed moment and must have ended.

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use grpcio::RpcStatusCode;

use crate::common::usage::Usage;
use crate::process::shipped;
use crate::report::{heading, megabytes, target};
use crate::traffic::{collect, follow, End, Responses, Traffic};

const FLAGS: &str = "--listen 127.0.0.1:0 --size 64KiB --responses 1000000 --step 0s \
                     --log-level warn --write-stall-timeout 3s";
const TIMEOUT: Duration = Duration::from_secs(3);
const STALLED: usize = 200;
/// The streams that are read shortly before the timeout.
const RESUMED: usize = 20;
const CONNECTIONS: usize = 10;
/// When these are read, and when the others must have ended, in multiples of the timeout.
const SHORTLY_BEFORE: f64 = 0.8;
const LATEST: f64 = 1.5;
/// More messages than the windows and buffers of a stream hold.
const GOES_ON: u32 = 1_000;
/// The time for memory to return.
const WITHIN: Duration = Duration::from_secs(1);
/// The allowed growth of memory: connections are open, and pages are not all used.
const SLACK: u64 = 16_000_000;
const READ_TIMEOUT: Duration = Duration::from_secs(60);

pub fn measure() -> Result<()> {
    heading("write-stall", "stalled streams under a write-stall timeout");
    println!("server {FLAGS}");
    println!("{STALLED} stalled streams on {CONNECTIONS} connections, with windows of 64 KiB");
    let server = shipped(&FLAGS.split_whitespace().collect::<Vec<_>>())?;
    // The client would otherwise buffer some megabytes of each stream.
    let traffic = Traffic::tuned(server.address(), CONNECTIONS, |builder| {
        builder
            .http2_bdp_probe(false)
            .stream_initial_window_size(64 << 10)
    });
    // Connections and allocators are warm before anything is measured.
    let warm: Vec<_> = calls(&traffic)?;
    let ends = read(&traffic, warm, 10)?;
    ensure!(ends.iter().all(|end| *end == End::Cancelled), "{ends:?}");

    let memory = || anyhow::Ok(Usage::of(server.pid())?.memory);
    thread::sleep(WITHIN);
    let before = memory()?;
    let mut stalled = calls(&traffic)?;
    let began = Instant::now();
    sleep_until(began + TIMEOUT.mul_f64(SHORTLY_BEFORE));
    let height = memory()?;
    let resumed = read(&traffic, stalled.split_off(STALLED - RESUMED), GOES_ON)?;
    sleep_until(began + TIMEOUT.mul_f64(LATEST));
    let over = read(&traffic, stalled, GOES_ON)?;
    thread::sleep(WITHIN);
    let after = memory()?;

    for (when, memory) in [("before", before), ("stalled", height), ("after", after)] {
        println!("server's memory {when:<8} {:>6.1} MB", megabytes(memory));
    }
    let count = |ends: &[End], end: End| ends.iter().filter(|e| **e == end).count();
    let resumed = count(&resumed, End::Cancelled);
    let over = count(&over, End::Status(RpcStatusCode::CANCELLED));
    println!("read after {SHORTLY_BEFORE} of the timeout: {resumed} of {RESUMED} went on");
    let rest = STALLED - RESUMED;
    println!("read after {LATEST} of the timeout: {over} of {rest} were over");
    target("none ends before the timeout", resumed == RESUMED);
    target(
        &format!("all have ended at {LATEST} of the timeout"),
        over == rest,
    );
    target(
        &format!("memory back (within {:.0} MB)", megabytes(SLACK)),
        after <= before + SLACK,
    );
    Ok(())
}

fn calls(traffic: &Traffic) -> Result<Vec<Responses>> {
    (0..STALLED).map(|n| traffic.call(n)).collect()
}

fn sleep_until(when: Instant) {
    thread::sleep(when.saturating_duration_since(Instant::now()));
}

/// Reads up to `messages` of each stream, cancels the rest, and returns how each ended.
fn read(traffic: &Traffic, streams: Vec<Responses>, messages: u32) -> Result<Vec<End>> {
    let (sender, reports) = mpsc::channel();
    let count = streams.len();
    for (n, mut responses) in streams.into_iter().enumerate() {
        let sender = sender.clone();
        traffic.spawn(n, async move {
            let end = follow(&mut responses, |k, _| match k + 1 < messages {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            });
            let _ = sender.send(end.await);
        });
    }
    collect(&reports, count, READ_TIMEOUT)
}
