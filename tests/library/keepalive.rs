//! Keepalive: a pair that fits is left alone however long nothing is said, and either side notices
//! in time that the other one is gone without a word.

use std::time::{Duration, Instant};

use crate::common::harness::until;
use crate::common::in_process::InProcess;
use crate::common::proxy::Proxy;
use crate::common::wire::Wire::{self, Clear, MutualTls, Tls};
use fanstream::engine::ReceiveError;
use fanstream::tutorial::fetch;
use grpcio::RpcStatusCode;
use rstest::rstest;

/// Interval and timeout together, of one second each, which is the least.
const NOTICED: Duration = Duration::from_secs(2);

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(3);

const PINGS: [&str; 4] = ["--keepalive-interval", "1s", "--keepalive-timeout", "1s"];

#[rstest]
fn a_pair_that_fits_says_nothing_for_as_long_as_it_likes(
    #[values(Clear, Tls, MutualTls)] wire: Wire,
) {
    let silent = ["--step", "7s", "--responses", "2"];
    let permit = ["--keepalive-permit", "1s"];
    let server = InProcess::start(wire, &[&PINGS[..], &permit, &silent].concat());
    let proxy = Proxy::to(&server.address);
    let client = server.client(&proxy.address, &PINGS);
    let mut responses = fetch(&client, 1);
    assert!(responses.next().unwrap().is_ok());
    let sent = proxy.received_from_client();
    assert!(responses.next().unwrap().is_ok());
    // It did ping: each is of 17 bytes, and the server's own ones are answered in as many.
    let sent = proxy.received_from_client() - sent;
    assert!(sent >= 5 * 17, "{sent} bytes");
    assert!(responses.next().is_none());
    assert_eq!(proxy.accepted(), 1);
}

#[rstest]
fn a_client_that_pings_more_often_than_it_may_is_cut_off(
    #[values(Clear, Tls, MutualTls)] wire: Wire,
) {
    let flags = ["--keepalive-permit", "1h", "--step", "1h"];
    let server = InProcess::start(wire, &flags);
    let client = server.client(&server.address, &PINGS);
    let mut responses = fetch(&client, 1);
    assert!(responses.next().unwrap().is_ok());
    let error = responses.next().unwrap().unwrap_err();
    let ReceiveError::Status(status) = error else {
        panic!("{error}");
    };
    assert_eq!(status.code(), RpcStatusCode::UNAVAILABLE);
    assert!(status.message().contains("ping"), "{status}");
}

#[rstest]
fn a_client_notices_a_server_that_is_gone(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    let server = InProcess::start(wire, &["--keepalive-permit", "1s", "--step", "1h"]);
    let proxy = Proxy::to(&server.address);
    let client = server.client(&proxy.address, &PINGS);
    let mut responses = fetch(&client, 1);
    assert!(responses.next().unwrap().is_ok());
    proxy.swallow();
    let began = Instant::now();
    let error = responses.next().unwrap().unwrap_err();
    let ReceiveError::Status(status) = error else {
        panic!("{error}");
    };
    assert_eq!(status.code(), RpcStatusCode::UNAVAILABLE);
    let took = began.elapsed();
    assert!(took < NOTICED + SLACK, "after {took:?}");
}

#[rstest]
fn a_server_notices_a_client_that_is_gone(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    let server = InProcess::start(wire, &[&PINGS[..], &["--step", "1h"]].concat());
    let proxy = Proxy::to(&server.address);
    let client = server.client(&proxy.address, &[]);
    let mut responses = fetch(&client, 1);
    assert!(responses.next().unwrap().is_ok());
    proxy.swallow();
    let began = Instant::now();
    until(|| server.server.streams().open() == 0);
    let took = began.elapsed();
    assert!(took < NOTICED + SLACK, "after {took:?}");
}
