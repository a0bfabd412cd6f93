//! Keepalive: matching settings keep an idle stream open, and each side detects in time that the
//! other one has vanished.

use std::time::{Duration, Instant};

use crate::common::harness::until;
use crate::common::in_process::InProcess;
use crate::common::proxy::Proxy;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use fanstream::engine::ReceiveError;
use fanstream::tutorial::fetch;
use grpcio::RpcStatusCode;
use rstest::rstest;

/// Interval plus timeout, both at their minimum of one second.
const DETECTED: Duration = Duration::from_secs(2);

/// Tolerance for a busy machine.
const SLACK: Duration = Duration::from_secs(3);

const PINGS: [&str; 4] = ["--keepalive-interval", "1s", "--keepalive-timeout", "1s"];

#[rstest]
fn matching_settings_keep_an_idle_stream_open(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let silent = ["--step", "7s", "--responses", "2"];
    let permit = ["--keepalive-permit", "1s"];
    let server = InProcess::start(transport, &[&PINGS[..], &permit, &silent].concat());
    let proxy = Proxy::to(&server.address);
    let client = server.client(&proxy.address, &PINGS);
    let mut responses = fetch(&client, 1);
    assert!(responses.next().unwrap().is_ok());
    let sent = proxy.received_from_client();
    assert!(responses.next().unwrap().is_ok());
    // The client sent PINGs of 17 bytes, and acknowledgements of the server's, also of 17 bytes.
    let sent = proxy.received_from_client() - sent;
    assert!(sent >= 5 * 17, "{sent} bytes");
    assert!(responses.next().is_none());
    assert_eq!(proxy.accepted(), 1);
}

#[rstest]
fn too_frequent_pings_end_the_connection(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let flags = ["--keepalive-permit", "1h", "--step", "1h"];
    let server = InProcess::start(transport, &flags);
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
fn a_client_detects_a_dead_server(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = InProcess::start(transport, &["--keepalive-permit", "1s", "--step", "1h"]);
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
    assert!(took < DETECTED + SLACK, "after {took:?}");
}

#[rstest]
fn a_server_detects_a_dead_client(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = InProcess::start(transport, &[&PINGS[..], &["--step", "1h"]].concat());
    let proxy = Proxy::to(&server.address);
    let client = server.client(&proxy.address, &[]);
    let mut responses = fetch(&client, 1);
    assert!(responses.next().unwrap().is_ok());
    proxy.swallow();
    let began = Instant::now();
    until(|| server.server.streams().open() == 0);
    let took = began.elapsed();
    assert!(took < DETECTED + SLACK, "after {took:?}");
}
