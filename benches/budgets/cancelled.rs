//! The memory and threads of the server after calls are cancelled behind their first
//! response, with the rest not due for an hour. All calls are open at the peak, then all are
//! cancelled. The second pass leaves out the memory that the allocator keeps. A test, not this
//! file, covers that no producer runs after its call has ended.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use futures::StreamExt;

use crate::common::usage::Usage;
use crate::process::shipped;
use crate::report::{heading, megabytes, target};
use crate::traffic::{collect, ramp, Responses, Traffic};

const CALLS: usize = 10_000;
const CONNECTIONS: usize = 10;
/// Calls started a second.
const RATE: usize = 4_000;
const FLAGS: &str = "--listen 127.0.0.1:0 --responses 5 --step 1h --log-level warn";
const WITHIN: Duration = Duration::from_secs(1);

/// The allowed growth of memory: connections are open, and pages are not all used.
const SLACK: u64 = 4_000_000;

pub fn measure() -> Result<()> {
    heading(
        "cancelled",
        &format!("{CALLS} calls cancelled after their first response"),
    );
    println!("server {FLAGS}");
    println!("{CONNECTIONS} connections, {RATE} calls started a second");
    let server = shipped(&FLAGS.split(' ').collect::<Vec<_>>())?;
    let traffic = Traffic::new(server.address(), CONNECTIONS);
    for time in ["first", "second"] {
        let before = held(server.pid())?;
        let calls = open(&traffic)?;
        let height = held(server.pid())?;
        calls.into_iter().for_each(|mut call| call.cancel());
        thread::sleep(WITHIN);
        let after = held(server.pid())?;
        print(&format!("{time} time, before"), &before);
        print(&format!("{time} time, all open"), &height);
        print(&format!("{time} time, {WITHIN:?} after"), &after);
        target(
            &format!(
                "{time} time, memory back (within {:.0} MB)",
                megabytes(SLACK)
            ),
            after.usage.memory <= before.usage.memory + SLACK,
        );
        target(
            &format!("{time} time, threads back"),
            after.usage.threads <= before.usage.threads,
        );
        target(
            &format!("{time} time, threads back, the C-core's own pools apart"),
            after.engine_threads <= before.engine_threads,
        );
    }
    Ok(())
}

/// Opens all calls and waits for the first response of each.
fn open(traffic: &Traffic) -> Result<Vec<Responses>> {
    let (sender, reports) = mpsc::channel();
    ramp(CALLS, RATE, |n| {
        let sender = sender.clone();
        let mut responses = traffic.call(n)?;
        traffic.spawn(n, async move {
            let first = responses.next().await;
            let _ = sender.send((n, first, responses));
        });
        Ok(())
    })?;
    let opened = collect(&reports, CALLS, Duration::from_secs(30))?;
    let checked = opened.into_iter().map(|(n, first, responses)| {
        let first = first.context("a call ended without a response")??;
        let right = first.result == format!("Request #0 For Id:{n}");
        ensure!(right, "call {n} got {first:?}");
        Ok(responses)
    });
    checked.collect()
}

/// The resources of the server, with the number of threads that the engine started or named; the
/// other threads are the C-core's pools.
struct Held {
    usage: Usage,
    engine_threads: usize,
}

fn held(pid: u32) -> Result<Held> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
    // A thread may end during the walk.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    Ok(Held {
        usage: Usage::of(pid)?,
        engine_threads: names.filter(|name| name.starts_with("fanstream-")).count(),
    })
}

fn print(when: &str, held: &Held) {
    let memory = megabytes(held.usage.memory);
    let (threads, engine) = (held.usage.threads, held.engine_threads);
    println!("{when:<24} {memory:>6.1} MB, {threads} threads, {engine} of them the engine's");
}
