//! Heartbeats: messages of quiet streams.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use fanstream::engine::{Capacity, Job, Jobs};
use fanstream::proto::stream::Response;
use grpcio::{CallOption, RpcStatusCode};
use rstest::rstest;

use crate::common::harness::{
    blocked, counting, failure, response, texts, until, Harness, HOUR, TEST_TIMEOUT,
};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use crate::feeding::settled;

const INTERVAL: Duration = Duration::from_millis(50);

fn beat() -> Response {
    response("beat")
}

#[rstest]
fn a_quiet_stream_sends_heartbeats_until_its_end(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[values(false, true)] ordered: bool,
) {
    let (release, gate) = bounded::<()>(0);
    let server = Harness::start(transport, move |_, _| {
        let jobs = Jobs::from(vec![
            Job::now(blocked(&gate).chain(counting("released", 1))),
            Job::after(HOUR, counting("never", 1)),
        ]);
        let jobs = if ordered { jobs.ordered() } else { jobs };
        Ok(jobs.with_heartbeat(INTERVAL, beat))
    });
    let began = Instant::now();
    let mut responses = server.call(1);
    for beats in 1..=4 {
        assert_eq!(responses.next().unwrap().unwrap().result, "beat");
        let (age, least) = (began.elapsed(), INTERVAL * beats);
        assert!(age >= least, "beat {beats} after {age:?}");
    }
    drop(release);
    assert!(responses.any(|r| r.unwrap().result == "released0"));
    assert_eq!(responses.next().unwrap().unwrap().result, "beat");
    drop(responses);
    until(|| server.streams.open() == 0);
}

/// The interval counts from the last message.
#[rstest]
fn a_busy_stream_sends_no_heartbeat(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |_, _| {
        let ticks = counting("x", 60).inspect(|_| thread::sleep(Duration::from_millis(10)));
        let jobs = Jobs::from(Job::now(ticks));
        Ok(jobs.with_heartbeat(Duration::from_millis(500), beat))
    });
    let received = texts(server.call(1));
    assert_eq!(received.len(), 60, "{received:?}");
}

#[rstest]
fn a_stalled_reader_gets_no_heartbeats(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let beats = Arc::new(AtomicUsize::new(0));
    let counter = beats.clone();
    let server = Harness::start(transport, move |_, _| {
        let beats = counter.clone();
        let large = std::iter::repeat_with(|| Ok(response("x".repeat(64 * 1024))));
        let jobs = Jobs::from(Job::now(large.take(1_000)));
        Ok(jobs.with_heartbeat(Duration::from_millis(20), move || {
            beats.fetch_add(1, Ordering::SeqCst);
            beat()
        }))
    });
    let unread = server.call_with(1, CallOption::default(), Capacity::messages(1));
    until(|| {
        server
            .streams
            .snapshot()
            .methods
            .iter()
            .any(|m| m.stalls > 0)
    });
    settled(|| server.streams.snapshot().methods[0].messages as usize);
    let before = beats.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(beats.load(Ordering::SeqCst), before);
    assert!(texts(unread).len() >= 1_000);
}

#[rstest]
fn a_panicking_heartbeat_ends_its_call(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |_, _| {
        let jobs = Jobs::from(Job::after(HOUR, counting("never", 1)));
        Ok(jobs.with_heartbeat(INTERVAL, || panic!("while it beats")))
    });
    let (texts, status) = failure(&mut server.call(1));
    assert!(texts.is_empty());
    assert_eq!(status.code(), RpcStatusCode::INTERNAL);
    until(|| server.streams.open() == 0);
}

/// At once, not only at the next interval.
#[rstest]
fn a_heartbeat_ends_with_its_call(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[values(false, true)] cancelled: bool,
) {
    let held = Arc::new(());
    let keep = held.clone();
    let server = Harness::start(transport, move |_, _| {
        let held = keep.clone();
        let mut jobs = vec![Job::now(counting("x", 1))];
        jobs.extend(cancelled.then(|| Job::after(HOUR, counting("never", 1))));
        let jobs = Jobs::from(jobs);
        Ok(jobs.with_heartbeat(HOUR, move || {
            let _ = &held;
            beat()
        }))
    });
    let mut responses = server.call(1);
    assert_eq!(responses.next().unwrap().unwrap().result, "x0");
    match cancelled {
        true => drop(responses),
        false => assert!(responses.next().is_none()),
    }
    // The function that opens calls holds one reference.
    until(|| Arc::strong_count(&held) == 2);
    until(|| server.streams.open() == 0 && server.workers.status().scheduled == 0);
}

/// The heartbeat function is user code of the call, so the call ends after it.
#[test]
fn a_call_waits_for_a_running_heartbeat_function() {
    let (release, gate) = bounded::<()>(0);
    let (tell, told) = bounded(10);
    let server = Harness::start(Clear, move |_, _| {
        let (gate, tell) = (gate.clone(), tell.clone());
        let late = Job::after(INTERVAL * 2, counting("x", 1));
        Ok(Jobs::from(late).with_heartbeat(INTERVAL, move || {
            let _ = tell.try_send(());
            let _ = gate.recv();
            beat()
        }))
    });
    let mut responses = server.call(1);
    told.recv_timeout(TEST_TIMEOUT).unwrap();
    assert_eq!(responses.next().unwrap().unwrap().result, "x0");
    drop(release);
    assert_eq!(responses.next().unwrap().unwrap().result, "beat");
    assert!(responses.next().is_none());
}
