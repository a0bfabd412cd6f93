//! Limits of streams, connections and memory, as clients see them: refusals, and streams that end.

mod common {
    pub mod certificates;
    pub mod harness;
    pub mod in_process;
    pub mod process;
    pub mod proxy;
    pub mod server;
    pub mod wire;
}

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::harness::{counting, failure, response, texts, until, Harness, HOUR};
use common::in_process::InProcess;
use common::process::eventually;
use common::proxy::Proxy;
use common::server::{send_raw, server, TestServer, FETCH};
use common::wire::Wire::{self, Clear, MutualTls, Tls};
use fanstream::client::{Client, ResponseStream};
use fanstream::engine::{
    Capacity, Job, Jobs, Limits, Produced, ReceiveError, StreamsConfig, WorkersConfig,
};
use fanstream::proto::health::HealthCheckRequest;
use fanstream::proto::health_grpc::HealthClient;
use fanstream::proto::stream::Response;
use grpcio::{
    CallOption, Channel, ChannelBuilder, Environment, Marshaller, Method, MethodType, RpcStatus,
    RpcStatusCode,
};
use procfs::Current;
use rstest::rstest;

/// How a fetch ended: what came of it, and why there was no more.
fn call(client: &Client) -> ResponseStream<Response> {
    fanstream::tutorial::fetch(client, 1)
}

fn fetch(client: &Client) -> (usize, Option<RpcStatus>) {
    let mut received = 0;
    for response in call(client) {
        match response {
            Ok(_) => received += 1,
            Err(ReceiveError::Status(status)) => return (received, Some(status)),
            Err(other) => panic!("{other}"),
        }
    }
    (received, None)
}

#[track_caller]
fn assert_refused(status: Option<RpcStatus>, why: &str) {
    let status = status.expect("it was not refused");
    assert_eq!(status.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
    assert!(status.message().contains(why), "{status}");
}

#[rstest]
fn a_peer_has_so_many_streams_and_another_one_its_own(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    let server = InProcess::start(wire, &["--max-streams-per-peer", "2", "--step", "1h"]);
    // Over a connection each, and still one peer.
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
fn a_peer_calls_so_often_and_another_one_as_often(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    let flags = [
        "--rate-per-peer",
        "60/m",
        "--burst-per-peer",
        "3",
        "--step",
        "0s",
    ];
    let server = InProcess::start(wire, &flags);
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
    // One a second comes back, and our client's retries find it.
    let patient = server.client(&server.address, &["--retries", "20"]);
    assert!(fetch(&patient).1.is_none());
}

/// Health, reflection and channelz are no way around the limits.
#[rstest]
fn calls_of_services_for_tools_count_for_their_peer(
    #[values(Clear, Tls, MutualTls)] wire: Wire,
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
    let server = TestServer::start(wire, &flags);
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

fn aging(age: Duration) -> StreamsConfig {
    StreamsConfig {
        limits: Limits {
            max_stream_age: Some(age),
            ..Limits::default()
        },
        ..StreamsConfig::default()
    }
}

fn ticking(alive: &Arc<()>) -> impl Iterator<Item = Produced<Response>> + Send {
    let alive = alive.clone();
    (0..1000).map(move |k| {
        let _ = &alive;
        std::thread::sleep(Duration::from_millis(10));
        Ok(response(format!("{k}")))
    })
}

#[rstest]
fn an_old_stream_ends_in_order_and_is_to_be_called_again(
    #[values(Clear, Tls, MutualTls)] wire: Wire,
) {
    const AGE: Duration = Duration::from_millis(500);
    let alive = Arc::new(());
    let held = alive.clone();
    let server = Harness::with(wire, WorkersConfig::default(), aging(AGE), move |id, _| {
        let later = Job::after(HOUR, ticking(&held));
        Ok(match id {
            0 => vec![Job::now(ticking(&held)), later].into(),
            1 => Jobs::from(later),
            _ => Job::after(AGE / 2, counting("x", 3)).into(),
        })
    });
    let began = Instant::now();
    let [mut busy, mut silent, young] = [0, 1, 2].map(|id| server.call(id));
    assert_eq!(texts(young).len(), 3);
    let (read, status) = failure(&mut busy);
    assert!(began.elapsed() >= AGE * 9 / 10, "{:?}", began.elapsed());
    let in_order: Vec<_> = (0..read.len()).map(|k| k.to_string()).collect();
    assert_eq!(read, in_order);
    for status in [status, failure(&mut silent).1] {
        assert_eq!(status.code(), RpcStatusCode::UNAVAILABLE);
        assert!(status.message().contains("call again"), "{status}");
    }
    until(|| Arc::strong_count(&alive) == 2);
    assert_eq!(server.streams.open(), 0);
    until(|| server.workers.status().scheduled == 0);
}

#[rstest]
fn what_an_old_stream_has_made_still_arrives(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    const AGE: Duration = Duration::from_millis(100);
    let server = Harness::with(wire, WorkersConfig::default(), aging(AGE), |_, _| {
        let later = Job::after(HOUR, counting("never", 1));
        Ok(vec![Job::now(counting("x", 100)), later].into())
    });
    let mut slow = server.call_with(1, CallOption::default(), Capacity::messages(1));
    for _ in 0..100 {
        assert!(slow.next().unwrap().is_ok());
        std::thread::sleep(AGE / 50);
    }
    let (more, status) = failure(&mut slow);
    assert!(more.is_empty());
    assert_eq!(status.code(), RpcStatusCode::UNAVAILABLE);
}

#[rstest]
fn streams_that_began_together_do_not_end_together(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    const AGE: Duration = Duration::from_secs(1);
    let server = Harness::with(wire, WorkersConfig::default(), aging(AGE), |_, _| {
        Ok(Job::after(HOUR, counting("never", 1)).into())
    });
    let began = Instant::now();
    let calls: Vec<_> = (0..50).map(|id| server.call(id)).collect();
    until(|| server.streams.open() == 50);
    until(|| server.streams.open() < 50);
    let first = began.elapsed();
    until(|| server.streams.open() == 0);
    assert!(first >= AGE * 9 / 10, "{first:?}");
    // All within a twentieth is less likely than one in a million.
    assert!(began.elapsed() - first > AGE / 20, "{:?}", began.elapsed());
    drop(calls);
}

#[test]
fn an_old_stream_that_nobody_reads_is_cut() {
    let alive = Arc::new(());
    let held = alive.clone();
    let age = aging(Duration::from_millis(100));
    let server = Harness::with(Clear, WorkersConfig::default(), age, move |_, _| {
        let alive = held.clone();
        let endless = std::iter::repeat_with(move || {
            let _ = &alive;
            Ok(response(".".repeat(64 << 10)))
        });
        Ok(Job::now(endless).into())
    });
    let mut stalled = server.call_with(0, CallOption::default(), Capacity::messages(1));
    assert!(stalled.next().unwrap().is_ok());
    until(|| server.streams.open() == 0);
    until(|| Arc::strong_count(&alive) == 2);
}

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
fn half_open_calls_hold_up_nobody(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    let server = TestServer::start(wire, &["--grace", "0s"]);
    let channels: Vec<_> = (0..3).map(|_| server.channel()).collect();
    let health = |channel: &Channel| {
        let stub = HealthClient::new(channel.clone());
        let options = CallOption::default().timeout(Duration::from_secs(10));
        stub.check_opt(&HealthCheckRequest::default(), options)
    };
    let mut calls = Vec::new();
    for channel in &channels {
        calls.extend((0..990).map(|_| half_open(channel)));
        // Behind all of them on the same connection.
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
fn half_open_calls_leave_no_memory_behind() {
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
            server.line.connect(builder, &proxy.address)
        })
        .collect();
    let _calls: Vec<_> = (channels.iter())
        .flat_map(|channel| (0..990).map(|_| half_open(channel)))
        .collect();
    until(|| memory() > before + 90);
    // Closes their connections.
    drop(proxy);
    until(|| memory() < before + 60);
}

#[test]
fn there_is_a_memory_quota_unless_it_is_turned_off() {
    let quota = |flags: &[&str]| {
        let flags = [&["--listen", "127.0.0.1:0", "--log-level", "debug"], flags].concat();
        let server = server(flags);
        server.line();
        server.signal("-TERM");
        let log = server.end().errors.join("\n");
        let (_, quota) = log.split_once("memory quota: ").expect("the quota");
        quota.lines().next().unwrap().to_string()
    };
    assert_eq!(quota(&["--memory-quota", "none"]), "none");
    assert_eq!(quota(&["--memory-quota", "64MiB"]), "67108864 bytes");
    let automatic: u64 = quota(&[]).strip_suffix(" bytes").unwrap().parse().unwrap();
    let memory = procfs::Meminfo::current().unwrap().mem_total;
    assert!(
        (1..=memory / 4).contains(&automatic),
        "{automatic} of {memory}"
    );
}

#[rstest]
fn beyond_the_memory_quota_streams_end(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    let server = InProcess::start(wire, &["--memory-quota", "1MiB", "--step", "1h"]);
    let client = server.client(&server.address, &[]);
    // The C-core counts about 2 KiB for each of them.
    let mut open = Vec::new();
    let ended = (0..5000).find_map(|_| {
        let mut stream = call(&client);
        match stream.next() {
            Some(Ok(_)) => {
                open.push(stream);
                None
            }
            ended => ended,
        }
    });
    let Some(Err(ReceiveError::Status(status))) = ended else {
        panic!("{ended:?}");
    };
    let codes = [
        // A stream that had to make room.
        RpcStatusCode::RESOURCE_EXHAUSTED,
        // Its connection.
        RpcStatusCode::UNAVAILABLE,
    ];
    assert!(codes.contains(&status.code()), "{status}");
}
