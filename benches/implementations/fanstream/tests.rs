//! Tests that both ways of making calls give the same results against the library's own server.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fanstream::server::Server;
use fanstream::tutorial::{service, Tutorial};
use serde_json::Value;

use crate::common::testing::said;
use crate::common::Calls;
use crate::{connect, poll_threads, threads, Connection};

type Start = fn(&Arc<[Connection]>, &Arc<Calls>) -> io::Result<()>;

const BOTH: [Start; 2] = [threads::start, poll_threads::start];

fn server(responses: u32, step: Duration) -> Server {
    let tutorial = Tutorial {
        responses,
        step,
        size: None,
    };
    let builder = Server::builder().listen("127.0.0.1:0");
    builder.add_service(service(tutorial)).start().unwrap()
}

/// Runs against `address`; returns whether all calls were OK, the lines and the summary.
#[track_caller]
fn load(start: Start, address: &str, flags: &[&str]) -> (bool, Vec<String>, Value) {
    let flags = [&["--addr", address], flags].concat();
    let connections = OnceLock::new();
    let (ok, output) = said(&flags, "\n", move |args, calls| {
        start(connections.get_or_init(|| connect(args).unwrap()), calls)
    });
    let mut lines: Vec<String> = output.lines().map(String::from).collect();
    let summary = serde_json::from_str(&lines.pop().unwrap()).unwrap();
    assert_eq!(lines.remove(0), "ready");
    (ok.unwrap(), lines, summary)
}

#[test]
fn every_response_is_read_and_printed_in_its_order() {
    let server = server(300, Duration::ZERO);
    let address = server.bound()[0].address.to_string();
    for start in BOTH {
        let flags = [
            "--calls=9",
            "--in-flight=3",
            "--connections=2",
            "--id=-4",
            "--print",
        ];
        let (ok, lines, summary) = load(start, &address, &flags);
        assert!(ok);
        assert_eq!(summary["statuses"]["OK"], 9);
        assert_eq!(summary["messages"], 2700);
        for id in -4..5 {
            let prefix = format!("{id}\t");
            let of_the_id: Vec<_> = lines
                .iter()
                .filter_map(|line| line.strip_prefix(&prefix))
                .collect();
            let expected: Vec<_> = (0..300)
                .map(|k| format!("Request #{k} For Id:{id}"))
                .collect();
            assert_eq!(of_the_id, expected);
        }
    }
}

#[test]
fn lateness_and_samples_match_the_server() {
    const STEP: Duration = Duration::from_millis(50);
    let server = server(3, STEP);
    let address = server.bound()[0].address.to_string();
    for start in BOTH {
        let flags = ["--calls=4", "--in-flight=4", "--step=50ms", "--samples"];
        let (ok, _, summary) = load(start, &address, &flags);
        assert!(ok);
        let list = |name: &str| summary[name].as_array().unwrap().clone();
        assert_eq!(list("first_us").len(), 4);
        let gaps = list("gap_us");
        assert_eq!(gaps.len(), 8);
        let whole: i64 = gaps.iter().map(|gap| gap.as_i64().unwrap()).sum();
        assert!(
            whole > 4 * 50_000,
            "two gaps of 50 ms, four times: {gaps:?}"
        );
        // The first responses were due before the last call had started.
        let late = list("late_us");
        assert_eq!(late.len(), 8);
        // Never early, up to the resolution of the server's clock.
        assert!(
            late.iter().all(|late| late.as_i64().unwrap() > -5_000),
            "{late:?}"
        );
    }
}

#[test]
fn stalled_calls_have_one_response_each() {
    let server = server(100_000, Duration::ZERO);
    let address = server.bound()[0].address.to_string();
    for start in BOTH {
        let flags = ["--calls=5", "--stall"];
        let (ok, lines, summary) = load(start, &address, &flags);
        assert!(!ok);
        assert_eq!(lines, ["stalled"]);
        assert_eq!(summary["messages"], 5);
        assert_eq!(summary["statuses"], serde_json::json!({"CANCELLED": 5}));
    }
}

#[test]
fn a_missing_server_is_the_status_unavailable() {
    let gone = server(1, Duration::ZERO);
    let address = gone.bound()[0].address.to_string();
    gone.shutdown(Duration::ZERO);
    for start in BOTH {
        let (ok, _, summary) = load(start, &address, &["--calls=2"]);
        assert!(!ok);
        assert_eq!(summary["statuses"], serde_json::json!({"UNAVAILABLE": 2}));
    }
}
