//! Calls whose request never arrives: they block no other call, and their memory is freed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fanstream::proto::health::HealthCheckRequest;
use fanstream::proto::health_grpc::HealthClient;
use grpcio::{CallOption, Channel, ChannelBuilder, Environment, Marshaller, Method, MethodType};
use rstest::rstest;

use crate::common::harness::until;
use crate::common::proxy::Proxy;
use crate::common::server::TestServer;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};

/// A call whose request never arrives.
fn half_open(channel: &Channel) -> impl Sized {
    const BYTES: Marshaller<Vec<u8>> = Marshaller {
        ser: |_, _| Ok(()),
        de: |_| Ok(Vec::new()),
    };
    let method = Method {
        ty: MethodType::Duplex,
        name: "/protobuf.StreamService/FetchResponse",
        req_mar: BYTES,
        resp_mar: BYTES,
    };
    let client = grpcio::Client::new(channel.clone());
    client.duplex_streaming(&method, CallOption::default())
}

#[rstest]
fn half_open_calls_block_no_other_call(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--grace", "0s"]);
    let channels: Vec<_> = (0..3).map(|_| server.channel()).collect();
    let health = |channel: &Channel| {
        let stub = HealthClient::new(channel.clone());
        let options = CallOption::default().timeout(Duration::from_secs(10));
        stub.check_opt(&HealthCheckRequest::default(), options)
    };
    let mut calls = Vec::new();
    for channel in &channels {
        calls.extend((0..990).map(|_| half_open(channel)));
        // A later call on the same connection.
        assert!(health(channel).is_ok());
    }
    assert!(health(&server.channel()).is_ok());
    let began = Instant::now();
    server.process.signal("-TERM");
    assert_eq!(server.process.end().code, Some(0));
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(calls);
}

#[test]
fn memory_of_half_open_calls_is_freed() {
    let server = TestServer::start(Clear, &[]);
    let memory = || {
        let process = procfs::process::Process::new(server.process.id()).unwrap();
        process.statm().unwrap().resident * procfs::page_size() / 1_000_000
    };
    let before = memory();
    let proxy = Proxy::to(&server.address);
    let channels: Vec<_> = (0..10)
        .map(|_| {
            let builder = ChannelBuilder::new(Arc::new(Environment::new(1)));
            let builder = builder.use_local_subchannel_pool(true);
            server.setup.connect(builder, &proxy.address)
        })
        .collect();
    let _calls: Vec<_> = (channels.iter())
        .flat_map(|channel| (0..990).map(|_| half_open(channel)))
        .collect();
    until(|| memory() > before + 90);
    // Closes the connections.
    drop(proxy);
    until(|| memory() < before + 60);
}
