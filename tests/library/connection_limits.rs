//! Limits of a connection: its age, its idle time and its streams.

use std::time::{Duration, Instant};

use rstest::rstest;

use crate::common::harness::until;
use crate::common::in_process::{call, fetch, InProcess};
use crate::common::process::eventually;
use crate::common::proxy::Proxy;
use crate::common::server::TestServer;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};

#[rstest]
fn an_old_connection_is_replaced_without_failed_calls(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let flags = [
        "--max-connection-age",
        "200ms",
        "--max-connection-age-grace",
        "5s",
        "--step",
        "10ms",
    ];
    let server = InProcess::start(transport, &flags);
    let proxy = Proxy::to(&server.address);
    let client = server.client(&proxy.address, &[]);
    eventually(|| {
        let (received, status) = fetch(&client);
        assert!(status.is_none(), "{status:?}");
        assert_eq!(received, 5);
        (proxy.accepted() >= 4).then_some(())
    });
    // Old connections are closed.
    until(|| proxy.open() <= 1);
}

#[rstest]
fn a_stream_is_cut_after_the_age_grace_of_its_connection(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let flags = [
        "--max-connection-age",
        "200ms",
        "--max-connection-age-grace",
        "200ms",
        "--step",
        "1h",
    ];
    let server = TestServer::start(transport, &flags);
    let began = Instant::now();
    let ended = server.client(&[]).end();
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.errors.concat().contains("UNAVAILABLE"), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[rstest]
fn an_idle_connection_is_closed_and_the_next_call_reconnects(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let flags = ["--max-connection-idle", "1s", "--step", "400ms"];
    let server = InProcess::start(transport, &flags);
    let proxy = Proxy::to(&server.address);
    // The client may call before it knows that the connection is closed.
    let client = server.client(&proxy.address, &["--retries", "3"]);
    // A call longer than the idle time keeps its connection.
    assert!(fetch(&client).1.is_none());
    assert_eq!(proxy.accepted(), 1);
    until(|| proxy.open() == 0);
    assert!(fetch(&client).1.is_none());
    assert_eq!(proxy.accepted(), 2);
}

#[rstest]
fn a_connection_has_at_most_a_thousand_streams(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = InProcess::start(transport, &["--step", "1h"]);
    let streams = server.server.streams();
    let client = server.client(&server.address, &[]);
    let mut open: Vec<_> = (0..1001).map(|_| call(&client)).collect();
    until(|| streams.open() >= 1000);
    let mut other = call(&server.client(&server.address, &[]));
    assert!(other.next().unwrap().is_ok());
    assert_eq!(streams.open(), 1001);
    // The last call waits in the client until another call ends.
    drop(open.swap_remove(0));
    for stream in &mut open {
        assert!(stream.next().unwrap().is_ok());
    }
}
