//! A model-based test of calls that are neighbours: they share a server, its few poll threads and
//! its workers, and some share a connection. No call may wait for ever, or for the whole life of
//! another.
//!
//! - A **scenario** (`scenario`) is a server and up to four clients, its neighbours. Each has one
//!   connection with calls, or makes a burst of calls. A call has a producer and a reader.
//! - Clients speak raw HTTP/2 (`client`, `hpack`), so that they decide about their windows: a
//!   reader may be slow, never read, or cancel. A `driver` runs the calls of one connection, and
//!   `burst` makes bursts. `producer` holds what the server does, `host` the server itself.
//! - The **model** (`judge`) knows the messages and the status of each producer. A call that is
//!   read must end with exactly these within [`BOUND`], beside the time of its own producer and of
//!   its own windows. A call that is not read may have less, but nothing wrong. Meanwhile a ping, a
//!   call of one message on a fresh connection, is always answered within the bound. When all
//!   clients have left, all calls end within the bound.
//!
//! `FANSTREAM_NEIGHBOURHOOD_CASES` sets the number of scenarios, `FANSTREAM_NEIGHBOURHOOD_SEED` the
//! first seed; a failure prints both:
//! `FANSTREAM_NEIGHBOURHOOD_CASES=100000 cargo test --release --test neighbourhood`.

#[path = "../common/mod.rs"]
mod common;

mod burst;
mod client;
mod driver;
mod host;
mod hpack;
mod judge;
mod producer;
mod run;
mod scenario;

use std::env;
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use client::DEFAULT_WINDOW;
use driver::{read, Driver};
use host::{processors, Host};
use producer::{Producer, SMALL};
use run::{ping, run};
use scenario::{Burst, CallPlan, Reader, Scenario};

const CASES: u64 = 5_000;

/// The scenarios at a time: mostly they wait.
const AT_ONCE: usize = 8;

/// The longest that a call may take beside the time of its own producer and of its own windows. On
/// an idle machine it takes milliseconds; this allows for a busy one.
const BOUND: Duration = Duration::from_secs(5);

/// The same for thousands of messages, or hundreds of calls, at a time.
const BOUND_OF_MANY: Duration = Duration::from_secs(20);

/// The most violations in a report.
const MAX_REPORTED: usize = 8;

#[test]
fn no_call_suffers_from_its_neighbours() {
    let _alone = alone();
    let cases = number("FANSTREAM_NEIGHBOURHOOD_CASES").unwrap_or(CASES);
    let first = number("FANSTREAM_NEIGHBOURHOOD_SEED").unwrap_or_else(|| fastrand::u64(..) >> 16);
    // Not captured: an aborting process reports nothing else.
    let _ = writeln!(
        io::stderr(),
        "neighbourhood: {cases} scenarios from seed {first}"
    );
    let began = Instant::now();
    let next = AtomicU64::new(first);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| try_scenarios(|| next.fetch_add(1, Relaxed), first + cases));
        }
    });
    println!("{cases} scenarios in {:?}", began.elapsed());
}

/// Tries scenarios on one server, one after the other: to start and to stop a server takes longer than
/// many a scenario.
fn try_scenarios(next: impl Fn() -> u64, end: u64) {
    let host = Host::start();
    let seeds = std::iter::repeat_with(next).take_while(|seed| *seed < end);
    for (before, seed) in seeds.enumerate() {
        let scenario = Scenario::random(seed);
        let violations = run(&host, &scenario);
        if !violations.is_empty() {
            // It may hang, and so would dropping it.
            mem::forget(host);
            panic!(
                "seed {seed} breaks a promise to neighbours, after {before} scenarios on the same \
                 server:\n{}\n\n{scenario}\nagain: FANSTREAM_NEIGHBOURHOOD_SEED={seed} \
                 FANSTREAM_NEIGHBOURHOOD_CASES=1 cargo test --release --test neighbourhood",
                listed(&violations)
            );
        }
    }
}

/// Calls whose windows are used up hold neither the workers nor a poll thread. Whether one of them
/// was about to write when that happened is chance, so it is tried often.
#[test]
fn readers_that_never_read_stop_nobody() {
    let _alone = alone();
    for _ in 0..90 {
        let host = Host::start();
        let violations = beside_readers_that_never_read(&host);
        conclude(host, violations, BOUND);
    }
}

fn beside_readers_that_never_read(host: &Host) -> Vec<String> {
    let producer = Producer::Quick {
        messages: 5_000,
        size: SMALL,
    };
    let plan = |reader| CallPlan { reader, producer };
    let mut violations = Vec::new();
    let mut silent = Vec::new();
    for _ in 0..2 {
        let plans = [plan(Reader::Never); 10];
        let mut driver = Driver::start(&host.entry, &plans, BOUND).unwrap();
        // The connection's window is used up before anybody else comes.
        if !driver.until(BOUND, |client| client.received() >= DEFAULT_WINDOW) {
            violations.push("a reader that never reads does not fill its window".into());
        }
        silent.push(driver);
    }
    let (entry, fast) = (&host.entry, [plan(Reader::Fast)]);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| read(entry, &fast, BOUND_OF_MANY)))
            .collect();
        for reader in readers {
            violations.extend(reader.join().unwrap());
        }
    });
    violations
}

/// Producers that compute take all processors, but not all threads.
#[test]
fn computing_producers_leave_room() {
    const COMPUTED: Duration = Duration::from_secs(3);
    const ANSWER: Duration = Duration::from_millis(1_500);
    let _alone = alone();
    let host = Host::start();
    let plan = CallPlan {
        reader: Reader::Fast,
        producer: Producer::Computes {
            ms: COMPUTED.as_millis() as u64,
        },
    };
    let plans = vec![plan; 2 * processors()];
    let mut computing = Driver::start(&host.entry, &plans, BOUND).unwrap();
    let mut violations = Vec::new();
    // The others may have to wait for a thread; the next call may not.
    if !computing.until(BOUND, |_| host.entry.computing() >= processors()) {
        violations.push("fewer calls than processors compute".into());
    }
    violations.extend(ping(&host.entry, ANSWER));
    drop(computing);
    // The calls are over, but their producers compute to the end.
    conclude(host, violations, 2 * COMPUTED + BOUND);
}

/// A client that cancels all its calls and opens as many in one write stays below the limit of
/// concurrent streams that the server advertises.
#[test]
fn cancels_in_bursts_are_legal() {
    let _alone = alone();
    let host = Host::start();
    let burst = Burst { rounds: 5 };
    let violations = burst::run(&host.entry, burst, BOUND_OF_MANY);
    conclude(host, violations, BOUND);
}

/// The failure of a job that is first ends an ordered call, before the next job may send.
#[test]
fn nothing_follows_an_ordered_failure() {
    let _alone = alone();
    let host = Host::start();
    let plan = CallPlan {
        reader: Reader::Fast,
        producer: Producer::OrderedFailure,
    };
    // The next job must run at the very moment, which one call in some hundred meets.
    let calls = [plan; 500];
    let violations = (0..120).flat_map(|_| read(&host.entry, &calls, BOUND_OF_MANY));
    let violations = violations.collect();
    conclude(host, violations, BOUND);
}

/// Keeps the other tests away until it is dropped: they would take the processors.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A failed test poisons it, which does not matter to the others.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fails if there are violations, or if calls are left `bound` after their clients.
#[track_caller]
fn conclude(host: Host, mut violations: Vec<String>, bound: Duration) {
    violations.extend(host.wait_until_empty(bound).err());
    if !violations.is_empty() {
        // It may hang, and so would dropping it.
        mem::forget(host);
        panic!("{}", listed(&violations));
    }
}

fn listed(violations: &[String]) -> String {
    let mut lines: Vec<_> = violations.iter().take(MAX_REPORTED).cloned().collect();
    if violations.len() > MAX_REPORTED {
        lines.push(format!("and {} more", violations.len() - MAX_REPORTED));
    }
    lines.join("\n")
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable}: {value:?} is not a number")))
}
