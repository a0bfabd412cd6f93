//! Readers of large payloads beside a stalled reader that shares a connection with some
//! of them. Rounds with and without it alternate, each on a fresh server, so that each has its own
//! peak of memory.

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Result};
use futures::executor::block_on;
use futures::StreamExt;

use crate::common::usage::Usage;
use crate::process::shipped;
use crate::report::{heading, megabytes, target, Pairs, Spread};
use crate::traffic::{collect, follow, End, Responses, Traffic};

const FLAGS: &str = "--listen 127.0.0.1:0 --size 64KiB --responses 100000 --step 0s \
                     --log-level warn";
const SIZE: usize = 64 << 10;
const READERS: usize = 50;
const CONNECTIONS: usize = 5;
/// Messages that each reader reads.
const MESSAGES: u32 = 400;
/// The time for the stalled stream to fill its buffers.
const FILL: Duration = Duration::from_secs(1);
const SLOWER_AT_MOST: f64 = 1.2;
/// The memory of a stalled stream: its channel of 1 MiB and one more message, the HTTP/2 window of
/// at most 8 MiB in the C-core, twice if it is copied into slices, and the poll thread's buffers.
const MEMORY_AT_MOST: f64 = 20.0;

pub fn measure(rounds: u32) -> Result<()> {
    heading("stalled-reader", "one reader that never reads");
    println!("server {FLAGS}");
    println!(
        "{READERS} readers on {CONNECTIONS} connections, {MESSAGES} messages ({:.0} MB) each; \
         the stalled one shares a connection",
        megabytes(u64::from(MESSAGES) * SIZE as u64)
    );
    let mut peaks = [Vec::new(), Vec::new()];
    let mut held = Vec::new();
    let pairs = Pairs::measure(["without", "with"], "s", rounds, |variant| {
        let round = round(variant == 1)?;
        peaks[variant].push(megabytes(round.peak_memory));
        held.extend(round.held.map(|bytes| bytes as f64 / 1e6));
        anyhow::Ok(round.took.as_secs_f64())
    })?;
    pairs.print();
    let [without, with] = peaks.map(Spread::of);
    println!("server's peak memory without: {without} MB");
    println!("server's peak memory with: {with} MB");
    let held = Spread::of(held);
    println!("held by the stalled stream and its connection, before other calls: {held} MB");
    target(
        &format!("the others at most {SLOWER_AT_MOST} times slower"),
        pairs.ratio().median <= SLOWER_AT_MOST,
    );
    target(
        &format!("the stalled stream holds at most {MEMORY_AT_MOST} MB"),
        held.max <= MEMORY_AT_MOST,
    );
    Ok(())
}

struct Round {
    took: Duration,
    peak_memory: u64,
    /// The growth of the server's memory by the stalled stream.
    held: Option<i64>,
}

fn round(stalled: bool) -> Result<Round> {
    let server = shipped(&FLAGS.split_whitespace().collect::<Vec<_>>())?;
    let traffic = Traffic::new(server.address(), CONNECTIONS);
    // Opened first, so that it cannot reuse memory that another stream has freed.
    let before = Usage::of(server.pid())?.memory;
    let stalled = stalled.then(|| traffic.call(0)).transpose()?;
    // The same pause without it, so that both servers start alike.
    thread::sleep(FILL);
    let held = match &stalled {
        Some(_) => Some(i64::try_from(Usage::of(server.pid())?.memory)? - i64::try_from(before)?),
        None => None,
    };
    // Connections and allocators are warm before the time is taken.
    read(&traffic, READERS, 10)?;

    let started = Instant::now();
    read(&traffic, READERS, MESSAGES)?;
    let took = started.elapsed();
    stalled.map_or(Ok(()), still_there)?;
    Ok(Round {
        took,
        peak_memory: Usage::of(server.pid())?.peak_memory,
        held,
    })
}

/// Lets `readers` read `messages` each, at the same time.
fn read(traffic: &Traffic, readers: usize, messages: u32) -> Result<()> {
    let (sender, reports) = mpsc::channel();
    for n in 0..readers {
        let sender = sender.clone();
        let mut responses = traffic.call(n)?;
        traffic.spawn(n, async move {
            let mut bytes = 0;
            let end = follow(&mut responses, |k, response| {
                bytes += response.result.len();
                match k + 1 < messages {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })
            .await;
            let _ = sender.send((end, bytes));
        });
    }
    for (end, bytes) in collect(&reports, readers, Duration::from_secs(120))? {
        ensure!(end == End::Cancelled, "a reader's call ended with {end:?}");
        ensure!(
            bytes == messages as usize * SIZE,
            "a reader got {bytes} bytes"
        );
    }
    Ok(())
}

/// Checks that the stalled stream was open all the time: it can be read now.
fn still_there(mut stalled: Responses) -> Result<()> {
    let timeout = Duration::from_secs(10);
    let (sender, read) = mpsc::channel();
    thread::spawn(move || {
        let first = block_on(stalled.next());
        stalled.cancel();
        let _ = sender.send(first);
    });
    match read.recv_timeout(timeout) {
        Ok(Some(Ok(_))) => Ok(()),
        other => bail!("the stalled stream has ended: {other:?}"),
    }
}
