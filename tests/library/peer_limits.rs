//! Limits of one peer: its open streams, and its calls per time. Other peers keep theirs.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use grpcio::{RpcStatus, RpcStatusCode};
use rstest::rstest;

use crate::common::harness::until;
use crate::common::in_process::{call, fetch, InProcess};
use crate::common::proxy::Proxy;
use crate::common::server::{send_raw, TestServer, FETCH};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};

#[track_caller]
fn assert_refused(status: Option<RpcStatus>, why: &str) {
    let status = status.expect("it was not refused");
    assert_eq!(status.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
    assert!(status.message().contains(why), "{status}");
}

#[rstest]
fn the_stream_limit_is_per_peer(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = InProcess::start(transport, &["--max-streams-per-peer", "2", "--step", "1h"]);
    // Three connections, one peer.
    let clients = [(); 3].map(|()| server.client(&server.address, &[]));
    let open: Vec<_> = clients[..2].iter().map(call).collect();
    until(|| server.server.streams().open() == 2);
    assert_refused(fetch(&clients[2]).1, "2 streams of this peer");
    let proxy = Proxy::from(Ipv4Addr::new(127, 0, 0, 2), &server.address);
    let mut other = call(&server.client(&proxy.address, &[]));
    assert!(other.next().unwrap().is_ok());
    drop(open);
    until(|| server.server.streams().open() == 1);
    assert!(call(&clients[2]).next().unwrap().is_ok());
}

#[rstest]
fn the_rate_limit_is_per_peer(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let flags = [
        "--rate-per-peer",
        "60/m",
        "--burst-per-peer",
        "3",
        "--step",
        "0s",
    ];
    let server = InProcess::start(transport, &flags);
    let client = server.client(&server.address, &[]);
    let began = Instant::now();
    for _ in 0..3 {
        assert!(fetch(&client).1.is_none());
    }
    let proxy = Proxy::from(Ipv4Addr::new(127, 0, 0, 2), &server.address);
    let other = server.client(&proxy.address, &[]);
    assert!(fetch(&other).1.is_none());
    if began.elapsed() < Duration::from_secs(1) {
        assert_refused(fetch(&client).1, "more often than 60 calls per 1m");
    }
    // One call per second is allowed again, and retries find it.
    let patient = server.client(&server.address, &["--retries", "20"]);
    assert!(fetch(&patient).1.is_none());
}

/// Health, reflection and channelz do not bypass the limits.
#[rstest]
fn calls_of_the_other_services_count_for_their_peer(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[values(
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers"
    )]
    method: &'static str,
) {
    let flags = [
        "--rate-per-peer",
        "1/h",
        "--burst-per-peer",
        "1",
        "--step",
        "0s",
        "--channelz",
    ];
    let server = TestServer::start(transport, &flags);
    let channel = server.channel();
    let first = send_raw(&channel, FETCH, vec![0x08, 0x01]);
    assert_eq!(first.1.code(), RpcStatusCode::OK, "{}", first.1.message());
    let (_, status) = send_raw(&channel, method, Vec::new());
    assert_eq!(status.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
    assert!(
        status.message().contains("more often"),
        "{}",
        status.message()
    );
}
