//! Stalled readers: at the write-stall timeout their streams end and are freed, in any state,
//! without effect on other streams.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::harness::{failure, response, texts, until, Harness, HOUR, TEST_TIMEOUT};
use crate::common::in_process::InProcess;
use crate::common::proxy::Proxy;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use fanstream::engine::{
    Capacity, Job, Jobs, Limits, Produced, Responses, StreamsConfig, WorkersConfig,
};
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::StreamServiceClient;
use futures::executor::block_on_stream;
use grpcio::{
    CallOption, ChannelBuilder, ClientSStreamReceiver, Environment, RpcStatus, RpcStatusCode,
};
use rstest::rstest;

const TIMEOUT: Duration = Duration::from_secs(1);

/// The latest end of a stalled stream.
const GONE: Duration = TIMEOUT.saturating_mul(3).checked_div(2).unwrap();
const SLACK: Duration = Duration::from_secs(2);

fn server(
    transport: Transport,
    open: impl Fn(i32) -> Jobs<Response> + Send + Sync + 'static,
) -> Harness {
    let streams = StreamsConfig {
        limits: Limits {
            write_stall_timeout: Some(TIMEOUT),
            ..Limits::default()
        },
        ..StreamsConfig::default()
    };
    Harness::with(
        transport,
        WorkersConfig::default(),
        streams,
        move |id, _| Ok(open(id)),
    )
}

/// An endless producer of large messages.
fn endless(alive: &Arc<()>) -> impl Iterator<Item = Produced<Response>> + Send {
    let alive = alive.clone();
    std::iter::repeat_with(move || {
        let _ = &alive;
        Ok(response(".".repeat(64 << 10)))
    })
}

/// A call of which only one message is read.
#[track_caller]
fn stalled(server: &Harness, id: i32) -> Responses<Response> {
    let mut stalled = server.call_with(id, CallOption::default(), Capacity::messages(1));
    assert!(stalled.next().unwrap().is_ok());
    stalled
}

/// The status that a reader sees when it resumes too late.
#[track_caller]
fn end(mut late: Responses<Response>) -> RpcStatus {
    failure(&mut late).1
}

#[rstest]
fn a_stalled_reader_loses_its_stream(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let alive = Arc::new(());
    let held = alive.clone();
    let server = server(transport, move |_| {
        let later = Job::after(HOUR, endless(&held));
        vec![Job::now(endless(&held)), later].into()
    });
    let began = Instant::now();
    let stalled = stalled(&server, 1);
    // The test and the server hold one reference each.
    until(|| Arc::strong_count(&alive) == 2);
    assert!(began.elapsed() >= TIMEOUT, "after {:?}", began.elapsed());
    until(|| server.streams.open() == 0);
    let took = began.elapsed();
    assert!(took < GONE + SLACK, "after {took:?}");
    until(|| server.workers.status().scheduled == 0);
    assert_eq!(end(stalled).code(), RpcStatusCode::CANCELLED);
}

#[rstest]
fn a_stream_with_nothing_to_read_stays(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let alive = Arc::new(());
    let held = alive.clone();
    let server = server(transport, move |id| match id {
        0 => Job::now(endless(&held)).into(),
        _ => Job::after(3 * TIMEOUT, std::iter::once(Ok(response("late")))).into(),
    });
    let silent = server.call(1);
    let _stalled = stalled(&server, 0);
    until(|| server.streams.open() == 1);
    assert_eq!(texts(silent), ["late"]);
}

#[rstest]
fn a_slow_reader_keeps_its_stream(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = InProcess::start(transport, &flags());
    let stub = small_windows(&server);
    let [mut slow, _stalled] = [1, 2].map(|_| block_on_stream(call(&stub)));
    let began = Instant::now();
    while began.elapsed() < 3 * TIMEOUT {
        assert!(slow.next().unwrap().is_ok());
        // This reader is slow on purpose.
        std::thread::sleep(TIMEOUT / 20);
    }
    assert_eq!(server.server.streams().open(), 1);
}

#[rstest]
fn a_stream_with_only_its_status_left_can_stall_too(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = server(transport, |_| {
        let few = (0..20).map(|_| Ok(response("small")));
        // Larger than any window, so the status waits behind unread messages.
        let last = std::iter::once_with(|| Ok(response(".".repeat(32 << 20))));
        Job::now(few.chain(last)).into()
    });
    let began = Instant::now();
    let stalled = stalled(&server, 1);
    until(|| server.streams.open() == 0);
    assert!(began.elapsed() >= TIMEOUT, "after {:?}", began.elapsed());
    assert!(
        began.elapsed() < GONE + SLACK,
        "after {:?}",
        began.elapsed()
    );
    drop(stalled);
}

#[rstest]
fn a_stopped_client_process_holds_no_stream(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = InProcess::start(transport, &flags());
    let proxy = Proxy::to(&server.address);
    // Reads as fast as possible, until nothing arrives.
    let client = server.client(&proxy.address, &[]);
    let mut responses = fanstream::tutorial::fetch(&client, 1);
    assert!(responses.next().unwrap().is_ok());
    proxy.stop();
    let began = Instant::now();
    until(|| server.server.streams().open() == 0);
    let took = began.elapsed();
    assert!(took >= TIMEOUT && took < GONE + SLACK, "after {took:?}");
}

#[rstest]
fn many_stalled_streams_end_together(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    // More than the enforcer checks under one lock.
    const STALLED: usize = 600;
    let server = InProcess::start(transport, &flags());
    let stub = small_windows(&server);
    let began = Instant::now();
    let stalled: Vec<_> = (0..STALLED).map(|_| call(&stub)).collect();
    until(|| server.server.streams().open() == STALLED);
    until(|| server.server.streams().open() == 0);
    let took = began.elapsed();
    assert!(took >= TIMEOUT && took < GONE + SLACK, "after {took:?}");
    drop(stalled);
}

/// Flags of a server with small buffers per stream.
fn flags() -> Vec<&'static str> {
    let flags = "--write-stall-timeout 1s --step 0s --responses 100000 --size 64KiB \
                 --channel-capacity 2";
    flags.split_whitespace().collect()
}

/// A client with small windows, so that the server learns of every message that is read. Default
/// windows report progress only after some megabytes.
fn small_windows(server: &InProcess) -> StreamServiceClient {
    let builder = ChannelBuilder::new(Arc::new(Environment::new(1)))
        .http2_bdp_probe(false)
        .stream_initial_window_size(64 << 10);
    StreamServiceClient::new(server.setup.connect(builder, &server.address))
}

fn call(stub: &StreamServiceClient) -> ClientSStreamReceiver<Response> {
    let options = CallOption::default().timeout(TEST_TIMEOUT);
    stub.fetch_response_opt(&Request::default(), options)
        .unwrap()
}
