//! What a call notices of its neighbours: the time to a first response and the time of a long stream,
//! beside stalled readers, a producer that computes, producers that block, and a process that
//! computes on the server's processor. Rounds alone and in company alternate, each on a fresh server.

use std::hint;
use std::ops::ControlFlow;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use clap::{Args, ValueEnum};
use fanstream::engine::{CallContext, Job, Jobs, Produced};
use fanstream::proto::stream::{Request, Response};
use fanstream::server::{Server, Service};
use fanstream::tutorial::FETCH_RESPONSE;

use crate::common::machine::SERVER_CORE;
use crate::common::process::Process;
use crate::process::{start, this_binary};
use crate::report::{heading, target, Pairs, Spread};
use crate::traffic::{collect, follow, End, Responses, Traffic};

/// Ids of requests, which choose the producer.
const ONE: usize = 0;
const LONG: usize = 1;
const COMPUTES: usize = 2;
const BLOCKS: usize = 3;
const SHORT: usize = 4;
const ENDLESS: usize = 5;

const LONG_MESSAGES: u32 = 400_000;
const SHORT_MESSAGES: u32 = 5;
const SHORT_CALLS: usize = 10_000;
const IN_FLIGHT: usize = 64;
const FIRST_CALLS: usize = 100;
const STALLED: usize = 20;
const BLOCKED: usize = 100;
/// Time for the neighbours to reach their state.
const SETTLE: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(60);

/// Where a processor is free.
const SLOWER_AT_MOST: f64 = 2.0;
/// Where the processor is shared with another process: half of it is left.
const SHARED_AT_MOST: f64 = 2.0;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Company {
    StalledReaders,
    ComputingProducer,
    BlockedProducers,
    BusyProcess,
}

pub fn measure(rounds: u32) -> Result<()> {
    for company in Company::value_variants() {
        let (name, what) = match company {
            Company::StalledReaders => ("20 stalled readers", "of two connections"),
            Company::ComputingProducer => ("a computing producer", "and a free processor"),
            Company::BlockedProducers => ("100 blocked producers", "of the same server"),
            Company::BusyProcess => ("a busy process", "on the server's only processor"),
        };
        heading("company", &format!("beside {name} {what}"));
        let most = match company {
            Company::BusyProcess => SHARED_AT_MOST,
            _ => SLOWER_AT_MOST,
        };
        let mut others: [[Vec<f64>; 2]; 2] = Default::default();
        let pairs = Pairs::measure(["alone", "in company"], "s", rounds, |variant| {
            let took = round(*company, variant == 1)?;
            others[0][variant].push(took.first.as_secs_f64() * 1e3);
            others[1][variant].push(took.short.as_secs_f64());
            anyhow::Ok(took.long.as_secs_f64())
        })?;
        println!("a stream of {LONG_MESSAGES} messages:");
        pairs.print();
        target(
            &format!("the stream at most {most} times slower"),
            pairs.ratio().median <= most,
        );
        let names = [
            format!("first response, median of {FIRST_CALLS} calls, ms"),
            format!("{SHORT_CALLS} calls of {SHORT_MESSAGES}, {IN_FLIGHT} at a time, s"),
        ];
        for (name, [alone, beside]) in names.into_iter().zip(others) {
            let ratio = Spread::of(alone.iter().zip(&beside).map(|(a, b)| b / a));
            println!(
                "{name}: alone {}, in company {}, round by round {ratio}",
                Spread::of(alone),
                Spread::of(beside)
            );
            target(&format!("at most {most} times"), ratio.median <= most);
        }
    }
    Ok(())
}

struct Took {
    first: Duration,
    long: Duration,
    short: Duration,
}

fn round(company: Company, is_there: bool) -> Result<Took> {
    let core = (company == Company::BusyProcess).then_some(SERVER_CORE);
    let server = start(core, &this_binary()?, &["company-server"])?;
    let traffic = Traffic::new(server.address(), 1);
    let neighbours = Traffic::new(server.address(), 2);
    let mut held = Vec::new();
    let mut spinning = None;
    if is_there {
        match company {
            Company::StalledReaders => {
                held = calls(&neighbours, ENDLESS, STALLED)?;
            }
            Company::ComputingProducer => held = calls(&neighbours, COMPUTES, 1)?,
            Company::BlockedProducers => held = calls(&neighbours, BLOCKS, BLOCKED)?,
            Company::BusyProcess => {
                let mut command = Command::new(this_binary()?);
                spinning = Some(Process::start(core, command.arg("spin"))?);
            }
        }
    }
    // The same pause without them, so that both servers start alike.
    thread::sleep(SETTLE);
    read(&traffic, LONG, 1, 1)?;
    let took = Took {
        first: first(&traffic)?,
        long: read(&traffic, LONG, 1, 1)?,
        short: read(&traffic, SHORT, SHORT_CALLS, IN_FLIGHT)?,
    };
    for call in &mut held {
        call.cancel();
    }
    drop(spinning);
    Ok(took)
}

/// Calls that nobody reads.
fn calls(traffic: &Traffic, id: usize, count: usize) -> Result<Vec<Responses>> {
    (0..count).map(|n| traffic.request(n, id)).collect()
}

/// The median time to the only response of a call, one call at a time.
fn first(traffic: &Traffic) -> Result<Duration> {
    let took = (0..FIRST_CALLS).map(|_| Ok(read(traffic, ONE, 1, 1)?.as_secs_f64()));
    let took: Vec<f64> = took.collect::<Result<_>>()?;
    Ok(Duration::from_secs_f64(Spread::of(took).median))
}

/// Reads `count` calls to their ends, `in_flight` at a time.
fn read(traffic: &Traffic, id: usize, count: usize, in_flight: usize) -> Result<Duration> {
    let (sender, reports) = mpsc::channel();
    let began = Instant::now();
    let mut open = 0;
    let mut left = count;
    while left > 0 || open > 0 {
        while left > 0 && open < in_flight {
            let sender = sender.clone();
            let mut responses = traffic.request(0, id)?;
            traffic.spawn(0, async move {
                let end = follow(&mut responses, |_, _| ControlFlow::Continue(())).await;
                let _ = sender.send(end);
            });
            left -= 1;
            open += 1;
        }
        for end in collect(&reports, 1, LIMIT)? {
            ensure!(end == End::OK, "a call ended with {end:?}");
            open -= 1;
        }
    }
    Ok(began.elapsed())
}

#[derive(Args)]
pub struct CompanyArgs {}

/// Serves until it is killed.
pub fn serve(_: &CompanyArgs) -> Result<()> {
    let service = Service::new().server_streaming(&FETCH_RESPONSE, |call, request: Request| {
        Ok(jobs(call, request.id as usize))
    });
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .add_service(service)
        .start()?;
    println!("listening on {}", server.bound()[0].address);
    loop {
        thread::park();
    }
}

fn jobs(call: &CallContext, id: usize) -> Jobs<Response> {
    let call = call.clone();
    match id {
        ONE => Job::now(messages(1)).into(),
        LONG => Job::now(messages(LONG_MESSAGES)).into(),
        SHORT => Job::now(messages(SHORT_MESSAGES)).into(),
        ENDLESS => Job::now(messages(u32::MAX)).into(),
        COMPUTES => Job::now(std::iter::from_fn(move || {
            while !call.is_over() {
                hint::spin_loop();
            }
            None
        }))
        .into(),
        _ => Job::now(std::iter::from_fn(move || {
            while !call.is_over() {
                thread::sleep(Duration::from_millis(100));
            }
            None
        }))
        .into(),
    }
}

fn messages(count: u32) -> impl Iterator<Item = Produced<Response>> + Send {
    (0..count).map(|k| {
        Ok(Response {
            result: format!("Request #{k} For Id:1"),
            ..Response::default()
        })
    })
}

/// Computes until it is killed.
pub fn spin() -> Result<()> {
    loop {
        hint::spin_loop();
    }
}
