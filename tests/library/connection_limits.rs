//! Limits of a connection: its age, its idle time and its streams.

use std::time::{Duration, Instant};

use rstest::rstest;

use crate::common::harness::until;
use crate::common::in_process::{call, fetch, InProcess};
use crate::common::process::eventually;
use crate::common::proxy::Proxy;
use crate::common::server::TestServer;
use crate::common::wire::Wire::{self, Clear, MutualTls, Tls};

#[rstest]
fn calls_go_on_over_a_new_connection_when_one_is_old(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    let flags = [
        "--max-connection-age",
        "200ms",
        "--max-connection-age-grace",
        "5s",
        "--step",
        "10ms",
    ];
    let server = InProcess::start(wire, &flags);
    let proxy = Proxy::to(&server.address);
    let client = server.client(&proxy.address, &[]);
    eventually(|| {
        let (received, status) = fetch(&client);
        assert!(status.is_none(), "{status:?}");
        assert_eq!(received, 5);
        (proxy.accepted() >= 4).then_some(())
    });
    // Those that are old are gone.
    until(|| proxy.open() <= 1);
}

#[rstest]
fn a_stream_longer_than_the_grace_of_its_connection_is_cut(
    #[values(Clear, Tls, MutualTls)] wire: Wire,
) {
    let flags = [
        "--max-connection-age",
        "200ms",
        "--max-connection-age-grace",
        "200ms",
        "--step",
        "1h",
    ];
    let server = TestServer::start(wire, &flags);
    let began = Instant::now();
    let ended = server.client(&[]).end();
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.errors.concat().contains("UNAVAILABLE"), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[rstest]
fn an_idle_connection_is_closed_and_the_next_call_makes_another(
    #[values(Clear, Tls, MutualTls)] wire: Wire,
) {
    let flags = ["--max-connection-idle", "1s", "--step", "400ms"];
    let server = InProcess::start(wire, &flags);
    let proxy = Proxy::to(&server.address);
    // The client may not know yet that it is closed when it calls again.
    let client = server.client(&proxy.address, &["--retries", "3"]);
    // Longer than that, but not idle.
    assert!(fetch(&client).1.is_none());
    assert_eq!(proxy.accepted(), 1);
    until(|| proxy.open() == 0);
    assert!(fetch(&client).1.is_none());
    assert_eq!(proxy.accepted(), 2);
}

#[rstest]
fn a_connection_has_a_thousand_streams_and_others_their_own(
    #[values(Clear, Tls, MutualTls)] wire: Wire,
) {
    let server = InProcess::start(wire, &["--step", "1h"]);
    let streams = server.server.streams();
    let client = server.client(&server.address, &[]);
    let mut open: Vec<_> = (0..1001).map(|_| call(&client)).collect();
    until(|| streams.open() >= 1000);
    let mut other = call(&server.client(&server.address, &[]));
    assert!(other.next().unwrap().is_ok());
    assert_eq!(streams.open(), 1001);
    // The last call waits in its client until another one ends.
    drop(open.swap_remove(0));
    for stream in &mut open {
        assert!(stream.next().unwrap().is_ok());
    }
}
