//! A caller that does not only wait: it cancels from another thread, or asks with a timeout of its own;
//! and the timeouts that end its call.

use std::sync::mpsc::{channel, Receiver};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use fanstream::client::{CallSettings, Client};
use fanstream::engine::{Elapsed, Job, ReceiveError, ReceiveTimeouts};
use fanstream::proto::stream::{Request, Response};
use fanstream::server::{Server, Service};
use fanstream::Status;
use grpcio::RpcStatusCode;
use rstest::rstest;

use crate::common::process::eventually;
use crate::{builder, client, request, response, COUNT, ENDLESS, SECOND};

const MOMENT: Duration = Duration::from_millis(20);

/// A server whose only stream sends a response each time the test opens the gate, and ends with it.
fn gated(gate: Receiver<()>) -> Server {
    let gate = Mutex::new(Some(gate));
    let service = Service::new().server_streaming(&ENDLESS, move |_, _: Request| {
        let gate = gate.lock().unwrap().take().unwrap();
        Ok(gate.into_iter().map(|()| Ok(response("open"))))
    });
    builder().add_service(service).start().unwrap()
}

/// A server that is never available.
fn unavailable() -> Server {
    let service = Service::new().server_streaming(&COUNT, |_, _: Request| {
        Err::<Job<Response>, _>(Status::unavailable("busy"))
    });
    builder().add_service(service).start().unwrap()
}

/// Effectively unlimited retries.
fn persistent(client: &Client) -> CallSettings {
    CallSettings {
        retries: u32::MAX,
        ..client.call_settings()
    }
}

/// Before and while the owner blocks.
#[rstest]
fn another_thread_cancels_a_stream(#[values(0, 50)] milliseconds: u64) {
    let (open, gate) = channel();
    let server = gated(gate);
    let mut stream = client(&server).call(&ENDLESS, request(1));
    open.send(()).unwrap();
    assert!(stream.next().unwrap().is_ok());
    let canceller = stream.canceller();
    let cancelling = thread::spawn(move || {
        thread::sleep(Duration::from_millis(milliseconds));
        canceller.cancel();
    });
    assert!(stream.next().is_none());
    cancelling.join().unwrap();
    assert!(stream.next().is_none() && stream.status().is_none());
    assert!(!stream.is_ready());
    assert_eq!(stream.next_timeout(30 * SECOND).unwrap().map(drop), None);
    drop(open); // its producer blocks until then
    eventually(|| (server.streams().open() == 0).then_some(()));
}

#[test]
fn a_canceller_outlives_its_stream() {
    let (open, gate) = channel();
    let server = gated(gate);
    let stream = client(&server).call(&ENDLESS, request(1));
    let canceller = stream.canceller();
    drop((stream, open));
    canceller.cancel();
    assert!(canceller.is_cancelled());
}

/// The pauses grow to seconds.
#[test]
fn another_thread_ends_the_pause_before_a_retry() {
    let server = unavailable();
    let client = client(&server);
    let mut stream = client.call_with(&COUNT, request(1), persistent(&client));
    let canceller = stream.canceller();
    let cancelling = thread::spawn(move || {
        thread::sleep(SECOND);
        canceller.cancel();
        Instant::now()
    });
    assert!(stream.next().is_none());
    let cancelled = cancelling.join().unwrap();
    assert!(cancelled.elapsed() < SECOND, "{:?}", cancelled.elapsed());
}

#[test]
fn a_caller_asks_again_after_its_own_timeout() {
    let (open, gate) = channel();
    let server = gated(gate);
    let mut stream = client(&server).call(&ENDLESS, request(1));
    for _ in 0..3 {
        assert_eq!(stream.next_timeout(MOMENT).map(drop), Err(Elapsed));
    }
    for _ in 0..2 {
        open.send(()).unwrap();
        let next = stream.next_timeout(30 * SECOND).unwrap();
        assert_eq!(next.unwrap().unwrap().result, "open");
        assert_eq!(stream.next_timeout(MOMENT).map(drop), Err(Elapsed));
    }
    drop(open);
    assert!(stream.next_timeout(30 * SECOND).unwrap().is_none());
    assert_eq!(stream.status().unwrap().code(), RpcStatusCode::OK);
}

#[test]
fn a_caller_that_asks_often_does_not_extend_the_timeouts_of_its_call() {
    let (open, gate) = channel();
    let server = gated(gate);
    let client = client(&server);
    let limit = 5 * MOMENT;
    let settings = CallSettings {
        timeouts: ReceiveTimeouts {
            first: None,
            idle: Some(limit),
        },
        ..client.call_settings()
    };
    let mut stream = client.call_with(&ENDLESS, request(1), settings);
    open.send(()).unwrap();
    assert!(stream.next().unwrap().is_ok());
    let began = Instant::now();
    let end = loop {
        match stream.next_timeout(MOMENT) {
            Err(Elapsed) => assert!(began.elapsed() < 30 * SECOND),
            Ok(next) => break next,
        }
    };
    assert!(began.elapsed() >= limit);
    assert!(matches!(end, Some(Err(ReceiveError::IdleTimeout(after))) if after == limit));
    assert!(stream.next().is_none());
}

#[test]
fn a_caller_with_a_timeout_of_its_own_sees_retries_too() {
    let server = unavailable();
    let client = client(&server);
    let settings = CallSettings {
        timeout: Some(SECOND / 2),
        ..persistent(&client)
    };
    let mut stream = client.call_with(&COUNT, request(1), settings);
    let began = Instant::now();
    let error = loop {
        match stream.next_timeout(MOMENT) {
            Err(Elapsed) => assert!(began.elapsed() < 30 * SECOND),
            Ok(next) => break next.unwrap().unwrap_err(),
        }
    };
    let ends = [RpcStatusCode::UNAVAILABLE, RpcStatusCode::DEADLINE_EXCEEDED];
    assert!(ends.contains(&error.code()), "{error}");
}

/// The pauses alone once took a minute.
#[test]
fn the_timeout_of_the_first_response_bounds_the_retries() {
    let server = unavailable();
    let client = client(&server);
    let settings = CallSettings {
        timeouts: ReceiveTimeouts {
            first: Some(SECOND / 2),
            idle: None,
        },
        ..persistent(&client)
    };
    let began = Instant::now();
    let mut stream = client.call_with(&COUNT, request(1), settings);
    let error = stream.next().unwrap().unwrap_err();
    let ends = [RpcStatusCode::UNAVAILABLE, RpcStatusCode::DEADLINE_EXCEEDED];
    assert!(ends.contains(&error.code()), "{error}");
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
    assert!(stream.next().is_none());
}
