//! `CallContext`: deadline, drain, sleep, peer, headers and response headers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{bounded, unbounded};
use fanstream::engine::{
    CallContext, Capacity, Job, Streams, StreamsConfig, Workers, WorkersConfig,
};
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::{create_stream_service, StreamService};
use grpcio::{
    CallOption, EnvBuilder, Metadata, MetadataBuilder, RpcContext, RpcStatus, RpcStatusCode,
    ServerBuilder, ServerCredentials, ServerStreamingSink,
};
use rstest::rstest;

use crate::common::harness::{
    counting, failure, response, texts, until, Caller, Harness, HOUR, TEST_TIMEOUT,
};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};

fn metadata(name: &str, value: &str) -> Metadata {
    let mut builder = MetadataBuilder::new();
    builder.add_str(name, value).unwrap();
    builder.build()
}

fn get(metadata: &Metadata, name: &str) -> Option<String> {
    let found = metadata.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| String::from_utf8(value.to_vec()).unwrap())
}

#[rstest]
fn the_time_left_follows_the_clients_deadline(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = Harness::start(transport, |_, call| {
        let left = call.time_left().map(|left| left.as_millis());
        Ok(Job::now([Ok(response(format!("{left:?}")))].into_iter()).into())
    });
    assert_eq!(texts(server.call(1)), ["None"]);
    let options = CallOption::default().timeout(Duration::from_secs(100));
    let text = texts(server.call_with(1, options, Capacity::default())).remove(0);
    let left: u64 = text["Some(".len()..text.len() - 1].parse().unwrap();
    // The C-core rounds a timeout up before it sends it.
    assert!((60_000..=102_000).contains(&left), "{left} ms");
}

#[rstest]
fn no_time_is_left_after_the_deadline(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (tell, told) = bounded(1);
    let server = Harness::start(transport, move |id, call| {
        if id == 0 {
            return Ok(Vec::new().into());
        }
        let _ = tell.send(call.clone());
        let (call, began) = (call.clone(), Instant::now());
        // Works until the deadline.
        let work = std::iter::from_fn(move || {
            while !call.is_over() && began.elapsed() < TEST_TIMEOUT {
                std::thread::sleep(Duration::from_millis(1));
            }
            None
        });
        Ok(Job::now(work).into())
    });
    // Connects first: on a busy machine a TLS handshake alone can exceed the deadline.
    assert!(texts(server.call(0)).is_empty());
    let options = CallOption::default().timeout(Duration::from_millis(100));
    let (_, status) = failure(&mut server.call_with(1, options, Capacity::default()));
    assert_eq!(status.code(), RpcStatusCode::DEADLINE_EXCEEDED);
    let call: CallContext = told.recv_timeout(TEST_TIMEOUT).unwrap();
    until(|| call.time_left() == Some(Duration::ZERO) && call.is_over());
}

#[rstest]
fn a_producer_sees_the_drain_and_can_end_its_stream(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = Harness::start(transport, |_, call| {
        let call = call.clone();
        let mut stopped = false;
        let mut numbers = 0..;
        let producer = std::iter::from_fn(move || match (stopped, call.is_draining()) {
            (true, _) => None,
            (false, true) => {
                stopped = true;
                Some(Ok(response("stopped here")))
            }
            (false, false) => {
                std::thread::sleep(Duration::from_millis(1));
                numbers.next().map(|n: i32| Ok(response(n.to_string())))
            }
        });
        Ok(Job::now(producer).into())
    });
    let mut responses = server.call(1);
    assert_eq!(responses.next().unwrap().unwrap().result, "0");
    server
        .streams
        .refuse(RpcStatus::new(RpcStatusCode::UNAVAILABLE));
    assert_eq!(texts(responses).pop().unwrap(), "stopped here");
    assert!(server.streams.wait_until_none(TEST_TIMEOUT));
}

#[rstest]
fn a_producer_sees_peer_and_headers(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |_, call| {
        let call = call.clone();
        let producer = std::iter::once_with(move || {
            let header = call.headers().and_then(|headers| get(headers, "tenant"));
            Ok(response(format!("{:?} {header:?}", call.peer())))
        });
        Ok(Job::now(producer).into())
    });
    let options = CallOption::default().headers(metadata("tenant", "blue"));
    let text = texts(server.call_with(1, options, Capacity::default())).remove(0);
    assert!(text.starts_with("Some(\"ipv4:127.0.0.1:"), "{text}");
    assert!(text.ends_with(" Some(\"blue\")"), "{text}");
}

#[rstest]
fn the_first_response_headers_reach_the_client(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = Harness::start(transport, |_, call| {
        let first = call.set_response_headers(metadata("generation", "1"));
        let second = call.set_response_headers(metadata("generation", "2"));
        Ok(Job::now([Ok(response(format!("{first} {second}")))].into_iter()).into())
    });
    let mut responses = server.call(1);
    let text = responses.next().unwrap().unwrap().result;
    assert_eq!(text, "true false");
    let generation = responses.headers().and_then(|h| get(h, "generation"));
    assert_eq!(generation.as_deref(), Some("1"));
    assert!(responses.next().is_none());
}

#[rstest]
fn response_headers_are_too_late_after_the_first_message(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (release, gate) = bounded::<()>(0);
    let server = Harness::start(transport, move |_, call| {
        let (call, gate) = (call.clone(), gate.clone());
        let late = std::iter::once_with(move || {
            let _ = gate.recv();
            let was_set = call.set_response_headers(metadata("late", "yes"));
            Ok(response(was_set.to_string()))
        });
        Ok(Job::now(counting("a", 1).chain(late)).into())
    });
    let mut responses = server.call(1);
    assert_eq!(responses.next().unwrap().unwrap().result, "a0");
    drop(release);
    assert_eq!(responses.next().unwrap().unwrap().result, "false");
    let late = responses.headers().and_then(|headers| get(headers, "late"));
    assert_eq!(late, None);
}

#[test]
fn response_headers_are_too_late_once_the_call_is_over() {
    let (tell, told) = bounded(1);
    let server = Harness::start(Clear, move |_, call| {
        let _ = tell.send(call.clone());
        Ok(Vec::new().into())
    });
    assert!(texts(server.call(1)).is_empty());
    let call: CallContext = told.recv_timeout(TEST_TIMEOUT).unwrap();
    assert!(call.is_over() && !call.set_response_headers(metadata("late", "yes")));
}

#[derive(Clone)]
struct WithoutMetadata(Streams);

impl StreamService for WithoutMetadata {
    fn fetch_response(
        &mut self,
        ctx: RpcContext<'_>,
        _: Request,
        sink: ServerStreamingSink<Response>,
    ) {
        self.0.without_metadata().serve(&ctx, sink, |call| {
            let text = format!("{:?} {}", call.peer(), call.headers().is_some());
            Ok(Job::now([Ok(response(text))].into_iter()).into())
        });
    }
}

#[test]
fn a_call_without_metadata_works_and_is_counted() {
    let workers = Workers::new(WorkersConfig::default()).unwrap();
    let streams = Streams::new(workers, StreamsConfig::default());
    let service = create_stream_service(WithoutMetadata(streams.clone()));
    let poll = Arc::new(EnvBuilder::new().cq_count(1).build());
    let mut server = ServerBuilder::new(poll)
        .register_service(service)
        .build()
        .unwrap();
    let port = server.add_listening_port("127.0.0.1:0", ServerCredentials::insecure());
    server.start();
    let client = Caller::new(&format!("127.0.0.1:{}", port.unwrap()));
    assert_eq!(texts(client.call(1)), ["None false"]);
    until(|| streams.snapshot().methods[0].handled[0] == 1);
}

#[test]
fn a_sleep_lasts_its_time_or_ends_with_the_call_or_at_the_drain() {
    const SHORT: Duration = Duration::from_millis(20);
    assert!(CallContext::default().sleep(SHORT));
    let (tell, told) = unbounded();
    let server = Harness::start(Clear, move |id, call| {
        let (call, tell) = (call.clone(), tell.clone());
        Ok(Job::push(move |sender| {
            let began = Instant::now();
            let slept = call.sleep(SHORT) && began.elapsed() >= SHORT;
            sender.send(response(slept.to_string()))?;
            let slept = call.sleep(if id == 0 { HOUR } else { Duration::MAX });
            tell.send((id, slept, call.is_over(), call.sleep(HOUR)))
                .unwrap();
            Ok(())
        })
        .into())
    });
    let mut calls = [0, 1].map(|id| server.call(id));
    for call in &mut calls {
        assert_eq!(call.next().unwrap().unwrap().result, "true");
    }
    let [cancelled, drained] = calls;
    drop(cancelled);
    let ended = told.recv_timeout(TEST_TIMEOUT).unwrap();
    assert_eq!(ended, (0, false, true, false));
    let status = RpcStatus::new(RpcStatusCode::UNAVAILABLE);
    server.streams.refuse(status);
    let ended = told.recv_timeout(TEST_TIMEOUT).unwrap();
    assert_eq!(ended, (1, false, false, false));
    assert_eq!(texts(drained), [""; 0]);
    until(|| server.streams.open() == 0);
}
