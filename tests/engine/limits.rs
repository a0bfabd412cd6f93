//! Bounds and release of a call's resources: slow readers, ended calls, fairness, limits and
//! drains.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use crate::common::harness::{
    blocked, counting, failure, response, texts, until, Harness, HOUR, TEST_TIMEOUT,
};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use crossbeam_channel::bounded;
use fanstream::engine::{Capacity, Job, Produced, ReceiveError, StreamsConfig, WorkersConfig};
use fanstream::proto::stream::Response;
use grpcio::{CallOption, RpcStatus, RpcStatusCode};
use rstest::rstest;

#[rstest]
fn a_stalled_reader_holds_one_channel_and_no_worker(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    const MESSAGE: usize = 64 << 10;
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let workers = WorkersConfig {
        max_threads: 1,
        ..WorkersConfig::default()
    };
    let server = Harness::with(
        transport,
        workers,
        StreamsConfig::default(),
        move |id, _| {
            if id != 0 {
                return Ok(Job::now(counting("x", 100)).into());
            }
            let count = count.clone();
            Ok(Job::now((0..100_000).map(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Ok(response(".".repeat(MESSAGE)))
            }))
            .into())
        },
    );
    let mut stalled = server.call_with(0, CallOption::default(), Capacity::messages(1));
    assert_eq!(stalled.next().unwrap().unwrap().result.len(), MESSAGE);
    // The only worker stays free for other calls.
    for _ in 0..20 {
        assert_eq!(texts(server.call(1)).len(), 100);
    }
    until(|| server.workers.status().idle == 1);
    let made = made.load(Ordering::SeqCst) * MESSAGE;
    // The channel, plus some 8 MiB in the HTTP/2 window and the sockets.
    let bound = Capacity::default().bytes + (24 << 20);
    assert!(made <= bound, "{made} bytes made for a stalled reader");
}

#[rstest]
fn a_parked_producer_resumes_with_its_reader(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = Harness::start(transport, |_, _| {
        Ok(Job::now((0..1000).map(|_| Ok(response(".".repeat(64 << 10))))).into())
    });
    let mut slow = server.call_with(0, CallOption::default(), Capacity::messages(1));
    assert!(slow.next().unwrap().is_ok());
    let cores = server.workers.status().threads;
    until(|| server.workers.status().idle == cores);
    assert_eq!(texts(slow).len(), 999);
}

/// Counts its calls, and holds `alive` until it is dropped.
fn watched(
    calls: &Arc<AtomicUsize>,
    alive: &Arc<()>,
) -> impl Iterator<Item = Produced<Response>> + Send {
    let (calls, alive) = (calls.clone(), alive.clone());
    std::iter::from_fn(move || {
        let _ = &alive;
        calls.fetch_add(1, Ordering::SeqCst);
        Some(Ok(response("x".repeat(1000))))
    })
}

/// A call with an endless producer, which is soon parked, and one that is not due for an hour.
fn endless(transport: Transport, calls: &Arc<AtomicUsize>, alive: &Arc<()>) -> Harness {
    let (calls, alive) = (calls.clone(), alive.clone());
    Harness::start(transport, move |_, _| {
        Ok(vec![
            Job::now(watched(&calls, &alive)),
            Job::after(HOUR, watched(&calls, &alive)),
        ]
        .into())
    })
}

#[track_caller]
fn assert_all_is_over(server: &Harness, calls: &Arc<AtomicUsize>, alive: &Arc<()>) {
    until(|| server.streams.open() == 0);
    // The server holds one reference.
    until(|| Arc::strong_count(alive) == 2);
    assert_eq!(server.workers.status().scheduled, 0);
    let then = calls.load(Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(calls.load(Ordering::SeqCst), then, "called after the end");
}

#[rstest]
fn a_cancelled_call_is_freed_and_runs_no_producer(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (calls, alive) = Default::default();
    let server = endless(transport, &calls, &alive);
    let mut responses = server.call(1);
    assert!(responses.next().unwrap().is_ok());
    responses.cancel();
    assert!(responses.next().is_none());
    assert_all_is_over(&server, &calls, &alive);
    // Dropped without a read or a cancel.
    let before = calls.load(Ordering::SeqCst);
    let unread = server.call(1);
    until(|| calls.load(Ordering::SeqCst) > before);
    drop(unread);
    assert_all_is_over(&server, &calls, &alive);
}

#[rstest]
fn a_call_past_its_deadline_is_freed(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (calls, alive) = Default::default();
    let server = endless(transport, &calls, &alive);
    let options = CallOption::default().timeout(Duration::from_millis(200));
    let mut responses = server.call_with(1, options, Capacity::default());
    let (_, status) = failure(&mut responses);
    assert_eq!(status.code(), RpcStatusCode::DEADLINE_EXCEEDED);
    assert_all_is_over(&server, &calls, &alive);
}

#[rstest]
fn an_aborted_call_ends_even_with_a_stalled_reader(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (calls, alive) = Default::default();
    let server = endless(transport, &calls, &alive);
    let mut responses = server.call(1);
    assert!(responses.next().unwrap().is_ok());
    let status = RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, "enough".into());
    assert_eq!(server.streams.abort_all(&status), 1);
    let (_, status) = failure(&mut responses);
    assert_eq!(status.code(), RpcStatusCode::UNAVAILABLE);
    assert_eq!(status.message(), "enough");
    assert_all_is_over(&server, &calls, &alive);
}

#[rstest]
fn a_producer_can_poll_for_the_end_of_its_call(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (tell, told) = bounded(1);
    let server = Harness::start(transport, move |_, watch| {
        let (watch, tell) = (watch.clone(), tell.clone());
        let mut first = true;
        Ok(Job::now(std::iter::from_fn(move || {
            if std::mem::take(&mut first) {
                return Some(Ok(response("first")));
            }
            until(|| watch.is_over());
            let _ = tell.send(());
            None
        }))
        .into())
    });
    let mut responses = server.call(1);
    assert!(responses.next().unwrap().is_ok());
    drop(responses);
    told.recv_timeout(TEST_TIMEOUT).unwrap();
}

#[rstest]
fn workers_are_shared_fairly_between_calls(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let workers = WorkersConfig {
        max_threads: 1,
        ..WorkersConfig::default()
    };
    let greedy = Arc::new(AtomicUsize::new(0));
    let made = greedy.clone();
    let server = Harness::with(
        transport,
        workers,
        StreamsConfig::default(),
        move |id, _| {
            if id != 0 {
                return Ok(Job::now(counting("x", 1000)).into());
            }
            let jobs: Vec<_> = (0..1000)
                .map(|_| {
                    let made = made.clone();
                    Job::now(counting("g", 100).inspect(move |_| {
                        made.fetch_add(1, Ordering::SeqCst);
                        // Slow enough that all of them would take long.
                        std::thread::sleep(Duration::from_micros(100));
                    }))
                })
                .collect();
            Ok(jobs.into())
        },
    );
    let mut first = server.call(0);
    assert!(first.next().unwrap().is_ok());
    // 1,000 messages in slices of 64 beside slices of a millisecond.
    assert_eq!(texts(server.call(1)).len(), 1000);
    let made = greedy.load(Ordering::SeqCst);
    assert!(made < 50_000, "{made} of the greedy call's came first");
}

#[rstest]
fn delayed_jobs_need_no_threads(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |_, _| {
        Ok(Job::after(Duration::from_secs(3), counting("x", 1)).into())
    });
    let at_rest = server.workers.status().threads;
    let calls: Vec<_> = (0..500).map(|id| server.call(id)).collect();
    // On a busy machine, opening them all may need one more thread for half a second.
    until(|| {
        let status = server.workers.status();
        status.scheduled == 500 && status.threads == at_rest
    });
    for call in calls {
        assert_eq!(texts(call), ["x0"]);
    }
}

#[rstest]
fn a_stream_beyond_the_maximum_is_refused(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (release, gate) = bounded::<()>(0);
    let streams = StreamsConfig {
        max_streams: 1,
        ..StreamsConfig::default()
    };
    let server = Harness::with(transport, WorkersConfig::default(), streams, move |_, _| {
        Ok(Job::now(blocked(&gate)).into())
    });
    let first = server.call(1);
    until(|| server.streams.open() == 1);
    let (_, status) = failure(&mut server.call(2));
    assert_eq!(status.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
    assert!(
        status.message().contains("1 streams"),
        "{}",
        status.message()
    );
    drop(release);
    texts(first);
    until(|| server.streams.open() == 0);
    texts(server.call(3));
}

#[rstest]
fn a_draining_server_refuses_new_calls_only(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |_, _| {
        Ok(Job::after(Duration::from_millis(100), counting("x", 1)).into())
    });
    let open = server.call(1);
    until(|| server.streams.open() == 1);
    let status = RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, "draining".into());
    server.streams.refuse(status);
    let (_, refused) = failure(&mut server.call(2));
    assert_eq!(refused.message(), "draining");
    assert!(!server.streams.wait_until_none(Duration::ZERO));
    assert_eq!(texts(open), ["x0"]);
    assert!(server.streams.wait_until_none(TEST_TIMEOUT));
}

#[rstest]
fn the_receive_timeout_is_per_response_and_ends_the_call(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = Harness::start(transport, |_, _| {
        Ok(Job::after(HOUR, counting("never", 1)).into())
    });
    let mut responses = server.call_impatient(1, Duration::from_millis(50));
    let error = responses.next().unwrap().unwrap_err();
    assert!(matches!(error, ReceiveError::FirstTimeout(_)), "{error}");
    assert!(responses.next().is_none());
    until(|| server.streams.open() == 0);
}
