//! A model-based test of the whole engine: random scenarios over real connections, judged by a
//! simple model.
//!
//! - A **scenario** (`scenario`, made up in `strategy`) is one server with its limits, up to 48 calls at the same time
//!   and one event: nothing, an abort of all calls, or a shutdown. Each call is a case. Its plan says what its opening,
//!   feed, producers and messages do (block, fail, panic, go on without end), and how its reader reads.
//! - Instrumented code **runs** the plan (`producer`, `message`, `reader`) and reports to a `probe`, which counts live
//!   objects and records at once what is never allowed: a producer called after the end of its call, after its own end,
//!   too early or on a poll thread; a message out of order. `run` starts the server through `adapter`, the only file that
//!   uses the engine, pings its poll thread meanwhile, and waits until nothing is left.
//! - The **model** (`oracle`) does not predict one end: it holds the allowed ends of a call and the condition of each.
//!   An end with OK needs every producer ended and every message there; a failure needs to be the first, with all that
//!   its producer made before it; an end by a limit, a deadline, an abort or a shutdown needs that limit to be set and
//!   reached. Beside the end it bounds what the call held, and compares the server's counts with the client's.
//!
//! The invariants are those of the engine: one status a call; no loss, no duplicates, order within
//! a producer; bounded memory; no code of a call after its end, and nothing left of it; a poll
//! thread that always answers; calls that don't notice each other's panics; limits that hold; a
//! shutdown of bounded time.
//!
//! `search` runs batches from seeds that follow each other and shrinks what fails.
//! `FANSTREAM_MODEL_CASES` (or `PROPTEST_CASES`) sets the number of cases, `FANSTREAM_MODEL_SEED`
//! the first seed; a failure prints both. A million cases take less than an hour:
//! `FANSTREAM_MODEL_CASES=1000000 cargo test --release --test model -- --nocapture`.

mod adapter;
mod message;
mod oracle;
mod oracle_tests;
mod probe;
mod producer;
mod reader;
mod run;
mod scenario;
mod search;
mod strategy;

use std::fs;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use reader::TEST_TIMEOUT;
use search::search;

const CASES: usize = 5_000;

/// The most threads, and descriptors, that may be left.
const MAX_LEFT: usize = 64;

/// Statuses that any large number of cases must include; otherwise the scenarios are too weak.
const ENDS: [&str; 10] = [
    "OK",
    "given up",
    "timed out",
    "4-DEADLINE_EXCEEDED",
    "5-NOT_FOUND",
    "8-RESOURCE_EXHAUSTED",
    "13-INTERNAL",
    "14-UNAVAILABLE",
    "15-DATA_LOSS",
    "16-UNAUTHENTICATED",
];

#[test]
fn the_engine_conforms_to_the_model() {
    let cases = number("FANSTREAM_MODEL_CASES").or_else(|| number("PROPTEST_CASES"));
    let cases = cases.map_or(CASES, |n| n as usize);
    let seed = number("FANSTREAM_MODEL_SEED").unwrap_or_else(|| fastrand::u64(..) >> 16);
    // Not captured: an aborting process reports nothing else.
    let _ = writeln!(io::stderr(), "model: {cases} cases from seed {seed}");
    let began = Instant::now();
    match search(seed, cases) {
        Err(failure) => panic!("{}", failure.report()),
        Ok(ends) => {
            println!("{ends:?} in {:?}", began.elapsed());
            let missing = ENDS.iter().find(|end| !ends.contains_key(**end));
            assert!(
                cases < CASES || missing.is_none(),
                "no call ended like {missing:?}"
            );
        }
    }
    let done = Instant::now();
    // Only the clients' poll threads and the C-core's own resources are left of the hundreds of
    // servers.
    let left = || (entries("/proc/self/task"), entries("/proc/self/fd"));
    while left().0 > MAX_LEFT || left().1 > MAX_LEFT {
        let left = left();
        assert!(
            done.elapsed() < TEST_TIMEOUT,
            "threads and descriptors left: {left:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable}: {value:?} is no number")))
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}
