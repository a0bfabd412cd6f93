//! `grpc.health.v1.Health` for probes and load balancers: statuses, and Watch calls, which see a
//! drain first and never delay shutdown.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::certificates::write_secret;
use crate::common::process::TEST_TIMEOUT;
use crate::common::proxy::Proxy;
use crate::common::server::{send_raw, TestServer, FETCH};
use crate::common::transport::path;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use fanstream::engine::{receive, Capacity, ReceiveError, ReceiveTimeouts, Responses};
use fanstream::proto::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest};
use fanstream::proto::health_grpc::HealthClient;
use fanstream::services::{Health, ServingStatus};
use futures::executor::block_on;
use grpcio::{
    CallOption, Channel, ChannelBuilder, Client, Environment, RpcStatusCode, ServerBuilder,
    ServerCredentials,
};
use rstest::rstest;

const STREAM: &str = "protobuf.StreamService";

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.into(),
        ..HealthCheckRequest::default()
    }
}

fn options() -> CallOption {
    CallOption::default().timeout(TEST_TIMEOUT)
}

fn check(channel: &Channel, service: &str) -> Result<ServingStatus, RpcStatusCode> {
    let stub = HealthClient::new(channel.clone());
    match stub.check_opt(&of(service), options()) {
        Ok(response) => Ok(response.status),
        Err(grpcio::Error::RpcFailure(status)) => Err(status.code()),
        Err(other) => panic!("{other}"),
    }
}

struct Watch(Responses<HealthCheckResponse>);

impl Watch {
    fn new(channel: &Channel, service: &str) -> Watch {
        let stub = HealthClient::new(channel.clone());
        let stream = stub.watch_opt(&of(service), options()).unwrap();
        let client = Client::new(channel.clone());
        // grpcio's own iterator can return the status before the last messages.
        let capacity = Capacity::default();
        Watch(receive(
            &client,
            stream,
            capacity,
            ReceiveTimeouts::default(),
        ))
    }

    /// The next status, or the code with which the call ends.
    #[track_caller]
    fn next(&mut self) -> Result<ServingStatus, RpcStatusCode> {
        match self.0.next() {
            Some(Ok(response)) => Ok(response.status),
            Some(Err(ReceiveError::Status(status))) => Err(status.code()),
            other => panic!("{other:?}"),
        }
    }
}

#[rstest]
fn the_server_and_each_service_are_serving(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &[]);
    let channel = server.channel();
    for service in ["", STREAM, "grpc.health.v1.Health"] {
        assert_eq!(check(&channel, service), Ok(ServingStatus::SERVING));
        assert_eq!(
            Watch::new(&channel, service).next(),
            Ok(ServingStatus::SERVING)
        );
    }
    assert_eq!(check(&channel, "other"), Err(RpcStatusCode::NOT_FOUND));
    let mut unknown = Watch::new(&channel, "other");
    assert_eq!(unknown.next(), Ok(ServingStatus::SERVICE_UNKNOWN));
    let stub = HealthClient::new(channel);
    let request = HealthListRequest::default();
    let list = stub.list_opt(&request, options()).unwrap();
    assert_eq!(list.statuses[""].status, ServingStatus::SERVING);
    assert_eq!(list.statuses[STREAM].status, ServingStatus::SERVING);
}

#[rstest]
fn watches_see_the_drain_and_end(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "1h", "--grace", "1h"]);
    let channel = server.channel();
    let mut watches: Vec<_> = ["", STREAM, "other"]
        .map(|service| Watch::new(&channel, service))
        .into();
    assert_eq!(watches[0].next(), Ok(ServingStatus::SERVING));
    assert_eq!(watches[1].next(), Ok(ServingStatus::SERVING));
    assert_eq!(watches[2].next(), Ok(ServingStatus::SERVICE_UNKNOWN));
    // Delays the end of the drain by an hour.
    let open = server.client(&["--take", "2"]);
    assert!(open.line().contains("Request #0"));
    let began = Instant::now();
    server.process.signal("-TERM");
    assert_eq!(watches[0].next(), Ok(ServingStatus::NOT_SERVING));
    assert_eq!(watches[1].next(), Ok(ServingStatus::NOT_SERVING));
    for watch in &mut watches {
        assert_eq!(watch.next(), Err(RpcStatusCode::UNAVAILABLE));
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(open);
    assert_eq!(server.process.end().code, Some(0));
}

#[rstest]
fn watches_do_not_delay_shutdown(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--grace", "1h"]);
    let channel = server.channel();
    // One of them is never read.
    let stub = HealthClient::new(channel.clone());
    let unread = stub.watch_opt(&of(""), options()).unwrap();
    let mut watch = Watch::new(&channel, "");
    assert_eq!(watch.next(), Ok(ServingStatus::SERVING));
    let began = Instant::now();
    server.process.signal("-TERM");
    assert_eq!(server.process.end().code, Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    drop(unread);
}

#[test]
fn one_peer_cannot_hold_all_watches() {
    let server = TestServer::start(Clear, &["--max-streams-per-connection", "10000"]);
    let channel = server.channel();
    let mut held = Vec::new();
    let refused = (0..=10_000).find_map(|_| {
        let mut watch = Watch::new(&channel, "");
        let next = watch.next();
        held.push(watch);
        next.err()
    });
    assert_eq!(refused, Some(RpcStatusCode::RESOURCE_EXHAUSTED));
    assert_eq!(held.len(), 2501, "a quarter of 10,000 may be open");
    // Other calls are not limited.
    assert_eq!(check(&channel, ""), Ok(ServingStatus::SERVING));
    let proxy = Proxy::from(Ipv4Addr::new(127, 0, 0, 2), &server.address);
    let other = ChannelBuilder::new(Arc::new(Environment::new(1))).connect(&proxy.address);
    assert_eq!(Watch::new(&other, "").next(), Ok(ServingStatus::SERVING));
}

#[rstest]
fn large_names_are_refused(#[values(Clear, Tls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "0s"]);
    let channel = server.channel();
    let name = "x".repeat(1 << 20);
    let too_large = Err(RpcStatusCode::RESOURCE_EXHAUSTED);
    assert_eq!(check(&channel, &name), too_large);
    assert_eq!(Watch::new(&channel, &name).next(), too_large);
    assert_eq!(send_raw(&channel, FETCH, Vec::new()).0, 5);
}

#[rstest]
fn health_checks_need_a_token_too(#[values(Clear, Tls)] transport: Transport) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    write_secret(&file, "secret");
    let server = TestServer::start(transport, &["--token-file", &path(&file)]);
    let refused = Err(RpcStatusCode::UNAUTHENTICATED);
    assert_eq!(check(&server.channel(), ""), refused);
    let shown = server.client(&["health", "--token-file", &path(&file)]);
    assert_eq!(shown.end().output, ["SERVING"]);
}

/// The library's health service in a plain grpcio server.
#[test]
fn a_watch_sees_each_change_until_shutdown() {
    let health = Health::new();
    let mut server = ServerBuilder::new(Arc::new(Environment::new(1)))
        .register_service(health.service())
        .build()
        .unwrap();
    let credentials = ServerCredentials::insecure();
    let port = server.add_listening_port("127.0.0.1:0", credentials);
    server.start();
    let channel = ChannelBuilder::new(Arc::new(Environment::new(1)))
        .connect(&format!("127.0.0.1:{}", port.unwrap()));
    let mut watch = Watch::new(&channel, "mine");
    assert_eq!(watch.next(), Ok(ServingStatus::SERVICE_UNKNOWN));
    health.set("mine", ServingStatus::NOT_SERVING);
    assert_eq!(watch.next(), Ok(ServingStatus::NOT_SERVING));
    health.set("mine", ServingStatus::SERVING);
    assert_eq!(watch.next(), Ok(ServingStatus::SERVING));
    // An unchanged status is not sent.
    health.set("mine", ServingStatus::SERVING);
    health.remove("mine");
    assert_eq!(watch.next(), Ok(ServingStatus::SERVICE_UNKNOWN));
    assert_eq!(health.get("mine"), None);
    health.set("mine", ServingStatus::SERVING);
    assert_eq!(watch.next(), Ok(ServingStatus::SERVING));

    let given_up = Watch::new(&channel, "");
    drop(given_up);
    assert!(health.shut_down(TEST_TIMEOUT));
    assert_eq!(watch.next(), Ok(ServingStatus::NOT_SERVING));
    assert_eq!(watch.next(), Err(RpcStatusCode::UNAVAILABLE));
    // Shutdown is final, also for later calls.
    health.set("mine", ServingStatus::SERVING);
    assert_eq!(check(&channel, "mine"), Ok(ServingStatus::NOT_SERVING));
    let mut late = Watch::new(&channel, "");
    assert_eq!(late.next(), Ok(ServingStatus::NOT_SERVING));
    assert_eq!(late.next(), Err(RpcStatusCode::UNAVAILABLE));
    server.cancel_all_calls();
    block_on(server.shutdown()).unwrap();
}
