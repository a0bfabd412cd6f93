//! Shutdown: streams may finish within the grace period, the rest end with UNAVAILABLE, and the
//! process exits in time regardless of its clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::process::eventually;
use crate::common::server::{server, TestServer};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use fanstream::engine::{receive, Capacity, ReceiveError, ReceiveTimeouts, Responses};
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::StreamServiceClient;
use grpcio::{Channel, ChannelBuilder, Client, Environment, RpcStatusCode};
use rstest::rstest;

fn call(channel: &Channel) -> Responses<Response> {
    let stub = StreamServiceClient::new(channel.clone());
    let stream = stub.fetch_response(&Request::default()).unwrap();
    let limit = Some(Duration::from_secs(30));
    let timeouts = ReceiveTimeouts {
        first: limit,
        idle: limit,
    };
    receive(
        &Client::new(channel.clone()),
        stream,
        Capacity::messages(1),
        timeouts,
    )
}

/// `None` means OK.
#[track_caller]
fn end(responses: Responses<Response>) -> (usize, Option<grpcio::RpcStatus>) {
    let mut received = 0;
    for response in responses {
        match response {
            Ok(_) => received += 1,
            Err(ReceiveError::Status(status)) => return (received, Some(status.into())),
            Err(other) => panic!("{other}"),
        }
    }
    (received, None)
}

#[rstest]
fn streams_that_end_within_the_grace_are_complete(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = TestServer::start(transport, &["--step", "100ms"]);
    let channel = server.channel();
    let mut open: Vec<_> = (0..20).map(|_| call(&channel)).collect();
    for stream in &mut open {
        assert!(stream.next().unwrap().is_ok());
    }
    server.process.signal("-TERM");
    for stream in open {
        assert_eq!(end(stream).0, 4);
    }
    assert_eq!(server.process.end().code, Some(0));
}

#[rstest]
fn streams_beyond_the_grace_end_with_unavailable(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = TestServer::start(transport, &["--step", "1h", "--grace", "200ms"]);
    let channel = server.channel();
    let mut stream = call(&channel);
    assert!(stream.next().unwrap().is_ok());
    let began = Instant::now();
    server.process.signal("-TERM");
    let (_, status) = end(stream);
    let status = status.unwrap();
    assert_eq!(status.code(), RpcStatusCode::UNAVAILABLE);
    assert!(status.message().contains("shutting down"), "{status:?}");
    let ended = server.process.end();
    assert_eq!(ended.code, Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert!(ended
        .errors
        .concat()
        .contains("1 streams did not finish in time"));
}

#[rstest]
fn stalled_readers_do_not_delay_shutdown(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let flags = [
        "--size",
        "64KiB",
        "--responses",
        "100000",
        "--step",
        "0s",
        "--grace",
        "200ms",
    ];
    let server = TestServer::start(transport, &flags);
    let channel = server.channel();
    let mut stalled: Vec<_> = (0..10).map(|_| call(&channel)).collect();
    for stream in &mut stalled {
        assert!(stream.next().unwrap().is_ok());
    }
    let began = Instant::now();
    server.process.signal("-TERM");
    assert_eq!(server.process.end().code, Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    for stream in stalled {
        let (_, status) = end(stream);
        assert_eq!(status.unwrap().code(), RpcStatusCode::UNAVAILABLE);
    }
}

#[rstest]
fn a_draining_server_takes_no_new_calls(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "1h", "--grace", "20s"]);
    let channel = server.channel();
    let mut open = call(&channel);
    assert!(open.next().unwrap().is_ok());
    server.process.signal("-TERM");
    // Refusal starts when the server has processed the signal.
    eventually(|| {
        let poll = Arc::new(Environment::new(1));
        // Not shared with a channel whose poll thread has ended.
        let builder = ChannelBuilder::new(poll).use_local_subchannel_pool(true);
        let fresh = server.setup.connect(builder, &server.address);
        let mut refused = call(&fresh);
        match refused.next() {
            Some(Err(ReceiveError::Status(status))) => Some(status),
            _ => None,
        }
    });
    drop(open);
    // Without open streams the server exits at once.
    assert_eq!(server.process.end().code, Some(0));
}

/// A restart without a gap: a drain begins with the end of the listener.
#[rstest]
fn another_server_takes_the_address_of_a_draining_one(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let old = TestServer::start(transport, &["--step", "1h", "--grace", "1h"]);
    let channel = old.channel();
    let mut open = call(&channel);
    assert!(open.next().unwrap().is_ok());
    old.process.signal("-TERM");

    let of_setup = old.setup.server_flags();
    let of_setup = of_setup.iter().map(String::as_str);
    let flags = ["--listen", &old.address, "--step", "0s"].into_iter();
    let flags: Vec<_> = flags.chain(of_setup).collect();
    let new = eventually(|| {
        let new = server(flags.iter().copied());
        // If not, the first one has not yet closed its listener.
        new.error_line().ends_with("start server").then_some(new)
    });
    assert_eq!(end(call(&old.channel())).0, 5);

    // The stream of the first one is still open.
    assert!(open.next_timeout(Duration::ZERO).is_err());
    drop(open);
    assert_eq!(old.process.end().code, Some(0));
    new.signal("-TERM");
    assert_eq!(new.end().code, Some(0));
}

#[rstest]
fn a_second_signal_exits_at_once(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "1h", "--grace", "1h"]);
    let channel = server.channel();
    let mut open = call(&channel);
    assert!(open.next().unwrap().is_ok());
    server.process.signal("-TERM");
    while !server.process.error_line().contains("draining") {}
    server.process.signal("-INT");
    assert_eq!(server.process.end().code, Some(128 + 2));
}
