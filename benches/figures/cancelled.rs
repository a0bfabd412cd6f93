//! Figure 4: what is left in the server of calls that were cancelled after their first response,
//! with the rest not due for an hour. They are all open at the height, then all cancelled. It is
//! done twice: the first time also shows what an allocator keeps for the next. That no producer is
//! called after its call was over cannot be seen from here; a test covers it.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use futures::StreamExt;

use crate::process::Server;
use crate::report::{heading, megabytes, target};
use crate::traffic::{collect, ramp, Responses, Traffic};
use crate::usage::Usage;

const CALLS: usize = 10_000;
const CONNECTIONS: usize = 10;
/// Calls started a second.
const RATE: usize = 4_000;
const FLAGS: &str = "--listen 127.0.0.1:0 --responses 5 --step 1h --log-level warn";
const WITHIN: Duration = Duration::from_secs(1);

/// How far memory may be from where it was: connections were opened, and pages are not all used.
const SLACK: u64 = 4_000_000;

pub fn measure() -> Result<()> {
    heading(
        4,
        &format!("{CALLS} calls cancelled after their first response"),
    );
    println!("server {FLAGS}");
    println!("{CONNECTIONS} connections, {RATE} calls started a second");
    let server = Server::shipped(&FLAGS.split(' ').collect::<Vec<_>>())?;
    let traffic = Traffic::new(server.address(), CONNECTIONS);
    for time in ["first", "second"] {
        let before = server.usage()?;
        let calls = open(&traffic)?;
        let height = server.usage()?;
        calls.into_iter().for_each(|mut call| call.cancel());
        thread::sleep(WITHIN);
        let after = server.usage()?;
        print(&format!("{time} time, before"), before);
        print(&format!("{time} time, all open"), height);
        print(&format!("{time} time, {WITHIN:?} after"), after);
        target(
            &format!(
                "{time} time, memory back (within {:.0} MB)",
                megabytes(SLACK)
            ),
            after.memory <= before.memory + SLACK,
        );
        target(
            &format!("{time} time, threads back"),
            after.threads <= before.threads,
        );
        target(
            &format!("{time} time, threads back, the C-core's own pools apart"),
            after.own_threads <= before.own_threads,
        );
    }
    Ok(())
}

/// Opens all calls; each has had its first response.
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

fn print(when: &str, usage: Usage) {
    let Usage {
        threads,
        own_threads,
        ..
    } = usage;
    let memory = megabytes(usage.memory);
    println!("{when:<24} {memory:>6.1} MB, {threads} threads, {own_threads} of them the engine's");
}
