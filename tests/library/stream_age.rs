//! The maximum age of a stream: its end, and what still arrives before it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fanstream::engine::{Capacity, Job, Jobs, Limits, Produced, StreamsConfig, WorkersConfig};
use fanstream::proto::stream::Response;
use grpcio::{CallOption, RpcStatusCode};
use rstest::rstest;

use crate::common::harness::{counting, failure, response, texts, until, Harness, HOUR};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};

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
fn an_old_stream_ends_with_a_retriable_status(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    const AGE: Duration = Duration::from_millis(500);
    let alive = Arc::new(());
    let held = alive.clone();
    let server = Harness::with(
        transport,
        WorkersConfig::default(),
        aging(AGE),
        move |id, _| {
            let later = Job::after(HOUR, ticking(&held));
            Ok(match id {
                0 => vec![Job::now(ticking(&held)), later].into(),
                1 => Jobs::from(later),
                _ => Job::after(AGE / 2, counting("x", 3)).into(),
            })
        },
    );
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
    // A call stays open for a moment after its last producer has been dropped.
    until(|| server.streams.open() == 0);
    until(|| server.workers.status().scheduled == 0);
}

#[rstest]
fn queued_responses_of_an_old_stream_still_arrive(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    const AGE: Duration = Duration::from_millis(100);
    let server = Harness::with(transport, WorkersConfig::default(), aging(AGE), |_, _| {
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

#[test]
fn an_old_stream_with_a_stalled_reader_is_cut() {
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
