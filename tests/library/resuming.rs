//! Streams that go on after losses: positions of a source, and clients that ask for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fanstream::client::{OnGap, ResumeError, ResumePolicy, ResumingStream};
use fanstream::engine::ReceiveTimeouts;
use fanstream::proto::stream::{Request, Response};
use fanstream::server::{Server, ServerConfig, Service};
use fanstream::sources::service;
use fanstream::Status;
use futures::executor::block_on;
use grpcio::{CallOption, Metadata, MetadataBuilder, RpcStatusCode as Code};
use rstest::rstest;

use super::numbers::{key, Event, Numbers, PADDING};
use super::{builder, client, connect, local, request, response, COUNT, SECOND};
use crate::common::process::eventually;
use crate::common::proxy::Proxy;

const TOKEN: &str = "fanstream-resume-token-bin";

fn resuming(server: &Server, id: i32, policy: ResumePolicy) -> ResumingStream<Response> {
    client(server).call(&COUNT, request(id)).resuming(policy)
}

/// The numbers, and the error at the end.
fn all(stream: &mut ResumingStream<Response>) -> (Vec<i32>, Option<ResumeError>) {
    let mut numbers = Vec::new();
    for number in stream.by_ref() {
        match number {
            Ok(number) => numbers.push(number.result.parse().unwrap()),
            Err(error) => {
                assert!(stream.next().is_none(), "once");
                return (numbers, Some(error));
            }
        }
    }
    (numbers, None)
}

fn attempts(max_attempts: u32) -> ResumePolicy {
    ResumePolicy {
        max_attempts,
        ..ResumePolicy::default()
    }
}

fn upto(end: i32) -> Vec<i32> {
    (0..end).collect()
}

#[rstest]
fn a_stream_goes_on_where_it_broke(#[values(false, true)] gzip: bool) {
    // The first call breaks after 3 numbers, the second one after 2 more, and so on.
    let numbers = Numbers::new(|call, next| match (call, next) {
        (0, 3) | (1, 5) => Event::Fail(Status::unavailable("restarting")),
        (2, 6) => Event::Fail(Status::cancelled("by the server")),
        (3, 7) => Event::Fail(Status::resource_exhausted("too many")),
        _ => Event::None,
    });
    let opened = numbers.opened.clone();
    let service = service(&COUNT, numbers, key());
    let config = ServerConfig {
        listen: vec![local()],
        gzip,
        ..ServerConfig::default()
    };
    let server = Server::builder().config(config);
    let server = server.add_service(service).start().unwrap();
    let mut stream = resuming(&server, 10, ResumePolicy::default());
    let (received, error) = all(&mut stream);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(received, upto(10));
    // Each token names the place before the first message of its call.
    assert_eq!(
        *opened.lock().unwrap(),
        [None, Some(0), Some(3), Some(5), Some(6)]
    );
}

/// A quiet stream tells its token before it has a message.
/// On the connection and the poll thread of its neighbours: readers that stall, producers that block, and
/// producers that compute, two of them on two processors.
#[test]
fn a_stream_goes_on_in_company() {
    const NEIGHBOURS: usize = 12;
    let is_over = Arc::new(AtomicBool::new(false));
    let ends = is_over.clone();
    let numbers = Numbers::new(move |call, next| match (call, next) {
        (0..8, _) => Event::None,
        (8..10, 1) => Event::Stall,
        (10..NEIGHBOURS, 1) => {
            while !ends.load(Ordering::Relaxed) {}
            Event::None
        }
        (NEIGHBOURS, 500) => Event::Fail(Status::unavailable("restarting")),
        _ => Event::None,
    });
    let (server, opened) = numbers.serve();
    let connected = client(&server);
    let start = |id| {
        let mut stream = connected.call(&COUNT, request(id)).resuming(attempts(3));
        (stream.next().unwrap().unwrap(), stream)
    };
    let neighbours: Vec<_> = (0..NEIGHBOURS).map(|_| start(i32::MAX)).collect();
    let (first, mut stream) = start(1000);
    assert_eq!(first.result, "0");
    let (rest, error) = all(&mut stream);
    is_over.store(true, Ordering::Relaxed);
    assert_eq!(rest, upto(1000)[1..]);
    assert!(error.is_none(), "{error:?}");
    let opened = opened.lock().unwrap();
    assert_eq!(opened.len(), NEIGHBOURS + 2, "no other call was lost");
    assert_eq!(opened[NEIGHBOURS + 1], Some(0), "it was asked to go on");
    drop(neighbours);
}

#[test]
fn headers_come_before_the_first_message() {
    let (server, _) = Numbers::new(|_, _| Event::Stall).serve();
    let client = client(&server);
    let mut stream = grpcio::Client::new(client.channel().clone())
        .server_streaming(
            &COUNT,
            &request(1),
            CallOption::default().timeout(20 * SECOND),
        )
        .unwrap();
    let headers: Metadata = block_on(stream.headers()).unwrap().clone();
    assert!(headers.iter().any(|(name, _)| name == TOKEN), "{headers:?}");
}

/// By a status, or by a lost connection.
#[rstest]
fn a_loss_before_the_first_message_keeps_the_position(#[values(false, true)] is_cut: bool) {
    let numbers = Numbers::new(move |call, _| match call {
        0 if is_cut => Event::Stall,
        0 => Event::Fail(Status::unavailable("")),
        _ => Event::None,
    });
    let (server, opened) = numbers.serve();
    let proxy = Proxy::to(&server.address().to_string());
    let client = connect(&proxy.address.parse().unwrap());
    let before = proxy.received_from_server();
    let mut stream = client
        .call(&COUNT, request(3))
        .resuming(ResumePolicy::default());
    if is_cut {
        // With the headers. Nothing else is as long as the token.
        eventually(|| (proxy.received_from_server() >= before + PADDING).then_some(()));
        // It cuts its connections, and takes others.
        drop(proxy);
    }
    let (numbers, error) = all(&mut stream);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(numbers, upto(3));
    assert_eq!(*opened.lock().unwrap(), [None, Some(0)]);
}

#[test]
fn a_stream_that_has_ended_is_not_asked_again() {
    let (server, opened) = Numbers::new(|_, _| Event::None).serve();
    let mut stream = resuming(&server, 5, ResumePolicy::default());
    assert_eq!(all(&mut stream).0, upto(5));
    assert!(stream.next().is_none());
    assert_eq!(opened.lock().unwrap().len(), 1);
    assert_eq!(stream.position().unwrap().count, 5);
}

/// The last number has arrived, the status has not.
#[test]
fn a_loss_after_the_last_number_gives_nothing_more() {
    let numbers = Numbers::new(|call, next| match (call, next) {
        (0, 5) => Event::Fail(Status::unavailable("")),
        _ => Event::None,
    });
    let (server, opened) = numbers.serve();
    let (numbers, error) = all(&mut resuming(&server, 5, ResumePolicy::default()));
    assert!(error.is_none(), "{error:?}");
    assert_eq!(numbers, upto(5));
    assert_eq!(*opened.lock().unwrap(), [None, Some(0)]);
}

#[test]
fn another_failure_is_final() {
    let numbers = Numbers::new(|_, next| match next {
        2 => Event::Fail(Status::data_loss("line 3")),
        _ => Event::None,
    });
    let (server, opened) = numbers.serve();
    let (numbers, error) = all(&mut resuming(&server, 5, ResumePolicy::default()));
    assert_eq!(numbers, upto(2));
    let error = error.unwrap();
    assert!(matches!(&error, ResumeError::Call(_)), "{error:?}");
    assert_eq!(error.code(), Code::DATA_LOSS);
    assert_eq!(opened.lock().unwrap().len(), 1);
}

/// The first two calls say where they are. All others forget to look for a position.
#[test]
fn a_server_that_ignores_the_position_is_found_out() {
    let calls = Mutex::new(0);
    let service = Service::new().server_streaming(&COUNT, move |call, _: Request| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        if *calls < 3 {
            let mut headers = MetadataBuilder::new();
            headers.add_bytes(TOKEN, b"a token").unwrap();
            call.set_response_headers(headers.build());
        }
        let broken = (*calls == 1).then(|| Err(Status::unavailable("")));
        Ok((0..3).map(|n| Ok(response(n))).chain(broken))
    });
    let server = builder().add_service(service).start().unwrap();
    let (numbers, error) = all(&mut resuming(&server, 3, ResumePolicy::default()));
    assert_eq!(numbers, upto(3), "nothing twice");
    assert!(matches!(error, Some(ResumeError::Ignored)), "{error:?}");
}

#[rstest]
#[case(0, true)]
#[case(1, false)]
fn without_positions_only_a_call_without_responses_is_made_again(
    #[case] given: i32,
    #[case] succeeds: bool,
) {
    let calls = Mutex::new(0);
    let service = Service::new().server_streaming(&COUNT, move |_, request: Request| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        let (end, broken) = match *calls {
            1 => (given, Some(Err(Status::unavailable("")))),
            _ => (request.id, None),
        };
        Ok((0..end).map(|n| Ok(response(n))).chain(broken))
    });
    let server = builder().add_service(service).start().unwrap();
    let (numbers, error) = all(&mut resuming(&server, 3, ResumePolicy::default()));
    assert_eq!(numbers, upto(if succeeds { 3 } else { 1 }));
    match error {
        None => assert!(succeeds),
        Some(ResumeError::Call(error)) => assert_eq!(error.code(), Code::UNAVAILABLE),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_a_response_resets_the_attempts() {
    // Each call gives one number.
    let broken = || Event::Fail(Status::unavailable("as asked"));
    let last = Arc::new(Mutex::new(-1));
    let numbers = Numbers::new(move |call, _| {
        let mut last = last.lock().unwrap();
        match *last == call as i32 {
            true => broken(),
            false => {
                *last = call as i32;
                Event::None
            }
        }
    });
    let (server, _) = numbers.serve();
    let policy = attempts(1);
    let (numbers, error) = all(&mut resuming(&server, 12, policy));
    assert_eq!((numbers, error.is_none()), (upto(12), true));

    let numbers = Numbers::new(move |_, next| match next {
        2 => broken(),
        _ => Event::None,
    });
    let (server, opened) = numbers.serve();
    let policy = attempts(3);
    let (numbers, error) = all(&mut resuming(&server, 12, policy));
    assert_eq!(numbers, upto(2));
    let Some(ResumeError::GaveUp { attempts: 3, last }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(last.status().unwrap().message(), "as asked");
    assert_eq!(opened.lock().unwrap().len(), 4);
}

#[test]
fn the_deadline_holds_for_all_attempts_together() {
    let numbers = Numbers::new(|_, next| match next {
        1 => Event::Fail(Status::unavailable("")),
        _ => Event::None,
    });
    let (server, _) = numbers.serve();
    let client = client(&server);
    let mut settings = client.call_settings();
    settings.timeout = Some(SECOND / 2);
    let began = Instant::now();
    let stream = client.call_with(&COUNT, request(3), settings);
    let mut stream = stream.resuming(attempts(u32::MAX));
    let (numbers, error) = all(&mut stream);
    assert_eq!(numbers, upto(1));
    let code = error.unwrap().code();
    assert!(
        [Code::UNAVAILABLE, Code::DEADLINE_EXCEEDED].contains(&code),
        "{code:?}"
    );
    // Of some 20 s that as many pauses would take.
    assert!(began.elapsed() < 10 * SECOND);
}

#[test]
fn an_idle_stream_is_asked_for_again() {
    let numbers = Numbers::new(|call, next| match (call, next) {
        (0, 2) | (1, 2) => Event::Stall,
        _ => Event::None,
    });
    let (server, opened) = numbers.serve();
    let client = client(&server);
    let mut settings = client.call_settings();
    settings.timeouts = ReceiveTimeouts {
        first: Some(20 * SECOND),
        idle: Some(Duration::from_millis(500)),
    };
    let stream = client.call_with(&COUNT, request(4), settings);
    let (numbers, error) = all(&mut stream.resuming(ResumePolicy::default()));
    assert_eq!((numbers, error.is_none()), (upto(4), true));
    assert_eq!(*opened.lock().unwrap(), [None, Some(0), Some(0)]);
}

#[test]
fn a_pause_can_be_cancelled() {
    let numbers = Numbers::new(|_, next| match next {
        1 => Event::Fail(Status::unavailable("")),
        _ => Event::None,
    });
    let (server, opened) = numbers.serve();
    let policy = attempts(u32::MAX);
    let mut stream = resuming(&server, 3, policy);
    let canceller = stream.canceller();
    let reader = thread::spawn(move || all(&mut stream));
    eventually(|| (opened.lock().unwrap().len() > 2).then_some(()));
    canceller.cancel();
    let (numbers, error) = reader.join().unwrap();
    assert_eq!((numbers, error.is_none()), (upto(1), true));
}

#[rstest]
fn a_gap_fails_or_restarts(
    #[values(Code::FAILED_PRECONDITION, Code::OUT_OF_RANGE, Code::INVALID_ARGUMENT)] code: Code,
    #[values(OnGap::Fail, OnGap::Restart)] on_gap: OnGap,
) {
    let numbers = Numbers::new(|call, next| match (call, next) {
        (0, 2) => Event::Fail(Status::unavailable("")),
        _ => Event::None,
    });
    let refusal = Some(Status::new(code, "gone"));
    let (server, opened) = Numbers { refusal, ..numbers }.serve();
    let policy = ResumePolicy {
        on_gap,
        ..ResumePolicy::default()
    };
    let (numbers, error) = all(&mut resuming(&server, 3, policy));
    // A token that is not this server's does not tell that data are gone.
    if on_gap == OnGap::Restart && code != Code::INVALID_ARGUMENT {
        assert_eq!((numbers, error.is_none()), (vec![0, 1, 0, 1, 2], true));
        assert_eq!(*opened.lock().unwrap(), [None, Some(0), None]);
        return;
    }
    assert_eq!(numbers, upto(2));
    match error {
        Some(ResumeError::Gap(status)) => assert_eq!(status.code(), code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn positions_are_checked() {
    let (server, _) = Numbers::new(|_, _| Event::None).serve();
    let client = client(&server);
    let mut first = client
        .call(&COUNT, request(3))
        .resuming(ResumePolicy::default());
    assert!(first.next().unwrap().is_ok());
    let token = first.position().unwrap().token.clone();
    let ask = |id, token: &[u8], count: &str| {
        let mut settings = client.call_settings();
        for (name, value) in [(TOKEN, token), ("fanstream-resume-count", count.as_bytes())] {
            let header = fanstream::client::Header::new(name, value).unwrap();
            settings.headers.push(header);
        }
        let mut numbers = Vec::new();
        for number in client.call_with(&COUNT, request(id), settings) {
            match number {
                Ok(number) => numbers.push(number.result),
                Err(error) => return Err((error.code(), error.to_string())),
            }
        }
        Ok(numbers)
    };
    assert_eq!(ask(3, &token, "1").unwrap(), ["1", "2"]);
    assert!(
        ask(3, &token, "3").unwrap().is_empty(),
        "the end is a position"
    );
    for (id, token, count, code) in [
        (3, &token[..], "4", Code::OUT_OF_RANGE),
        (3, &token, "18446744073709551615", Code::OUT_OF_RANGE),
        (4, &token, "1", Code::INVALID_ARGUMENT),
        (3, b"foreign", "1", Code::INVALID_ARGUMENT),
        (3, &[0; 1000], "1", Code::INVALID_ARGUMENT),
        (3, &token, "many", Code::INVALID_ARGUMENT),
    ] {
        let (found, text) = ask(id, token, count).unwrap_err();
        assert_eq!(found, code, "{text}");
    }
}
