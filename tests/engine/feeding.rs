//! Feeding of a call's jobs to the workers: lazy, on time, and bounded by the call's channel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use fanstream::engine::{Capacity, Job, Jobs, Produced, StreamsConfig, WorkersConfig};
use fanstream::proto::stream::Response;
use grpcio::CallOption;
use rstest::rstest;

use crate::common::harness::{counting, response, texts, until, Harness, TEST_TIMEOUT};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};

/// Responses of this size fill the windows and the channel soon.
const LARGE: usize = 64 * 1024;

/// A channel of a megabyte, the HTTP/2 windows, the C-core's buffers and the client's channel hold
/// no more. The windows grow, on a busy machine to twice their usual size.
const MAX_HELD: usize = 300;

fn counted(made: &Arc<AtomicUsize>) -> impl Iterator<Item = Produced<Response>> + Send {
    let made = made.clone();
    std::iter::once_with(move || {
        made.fetch_add(1, Ordering::SeqCst);
        Ok(response("x".repeat(LARGE)))
    })
}

/// Waits until the number stops changing.
pub fn settled(number: impl Fn() -> usize) -> usize {
    let deadline = Instant::now() + TEST_TIMEOUT;
    let mut last = (number(), Instant::now());
    while last.1.elapsed() < Duration::from_millis(500) {
        assert!(Instant::now() < deadline, "it still grows: {}", last.0);
        thread::sleep(Duration::from_millis(10));
        let now = number();
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    last.0
}

/// Jobs that come due while the reader stalls must not start.
#[rstest]
#[case::lazy(true)]
#[case::at(false)]
fn due_jobs_wait_for_a_stalled_reader(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[case] lazy: bool,
) {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    let server = Harness::start(transport, move |_, _| {
        let made = counter.clone();
        let delays = (0..100_000).map(Duration::from_millis);
        Ok(match lazy {
            true => Jobs::lazy(delays.map(move |delay| Job::after(delay, counted(&made)))),
            false => Jobs::at(delays, move |_| counted(&made)),
        })
    });
    let small = Capacity::messages(1);
    let mut unread = server.call_with(1, CallOption::default(), small);
    unread.next().unwrap().unwrap();
    let held = settled(|| made.load(Ordering::SeqCst));
    assert!(held < MAX_HELD, "{held} responses wait for the reader");
    for _ in 0..held {
        unread.next().unwrap().unwrap();
    }
    until(|| made.load(Ordering::SeqCst) > held);
    drop(unread);
    until(|| server.streams.open() == 0);
}

/// Producers that start faster than they end are bounded.
#[rstest]
fn a_call_starts_no_more_than_256_producers(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let started = Arc::new(AtomicUsize::new(0));
    let counter = started.clone();
    let workers = WorkersConfig {
        max_threads: 2,
        ..WorkersConfig::default()
    };
    let server = Harness::with(transport, workers, StreamsConfig::default(), move |_, _| {
        let started = counter.clone();
        let endless = move |_| {
            started.fetch_add(1, Ordering::SeqCst);
            std::iter::repeat_with(|| Ok(response("again")))
        };
        Ok(Jobs::at(std::iter::repeat(Duration::ZERO), endless))
    });
    let mut call = server.call(1);
    for _ in 0..100_000 {
        call.next().unwrap().unwrap();
    }
    let started = settled(|| started.load(Ordering::SeqCst));
    assert!((2..=256).contains(&started), "{started} producers");
}

#[rstest]
fn a_response_does_not_wait_for_the_job_behind_it(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (release, gate) = bounded::<()>(0);
    let server = Harness::start(transport, move |_, _| {
        let gate = gate.clone();
        Ok(Jobs::lazy((0..2).map(move |k| {
            if k == 1 {
                let _ = gate.recv();
            }
            Job::now(counting(&format!("job{k} "), 1))
        })))
    });
    let mut call = server.call_impatient(1, TEST_TIMEOUT);
    assert_eq!(call.next().unwrap().unwrap().result, "job0 0");
    drop(release);
    assert_eq!(texts(call), ["job1 0"]);
}

#[rstest]
fn a_job_does_not_wait_for_the_producer_before_it(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (release, gate) = bounded::<()>(0);
    let server = Harness::start(transport, move |_, _| {
        let gate = gate.clone();
        Ok(Jobs::lazy((0..2).map(move |k| {
            let gate = (k == 0).then(|| gate.clone());
            Job::now(counting(&format!("job{k} "), 1).inspect(move |_| {
                let _ = gate.as_ref().map(|gate| gate.recv());
            }))
        })))
    });
    let mut call = server.call_impatient(1, TEST_TIMEOUT);
    assert_eq!(call.next().unwrap().unwrap().result, "job1 0");
    drop(release);
    assert_eq!(texts(call), ["job0 0"]);
}

/// The only worker serves another call beside a feed that is always due.
#[rstest]
#[case::lazy(true)]
#[case::at(false)]
fn an_endless_feed_lets_other_calls_run(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[case] lazy: bool,
) {
    let workers = WorkersConfig {
        max_threads: 1,
        ..WorkersConfig::default()
    };
    let server = Harness::with(
        transport,
        workers,
        StreamsConfig::default(),
        move |id, _| {
            Ok(match (id, lazy) {
                (0, _) => Job::now(counting("x", 10)).into(),
                (_, true) => Jobs::lazy(std::iter::repeat_with(|| Job::now(std::iter::empty()))),
                (_, false) => Jobs::at(std::iter::repeat(Duration::ZERO), |_| {
                    std::iter::empty::<Produced<_>>()
                }),
            })
        },
    );
    let endless = server.call(1);
    assert_eq!(texts(server.call(0)).len(), 10);
    drop(endless);
    until(|| server.streams.open() == 0);
}

/// A long producer and a feed that is always due share the only worker.
#[rstest]
fn an_endless_feed_lets_started_producers_run(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let workers = WorkersConfig {
        max_threads: 1,
        ..WorkersConfig::default()
    };
    let server = Harness::with(transport, workers, StreamsConfig::default(), |_, _| {
        let jobs = std::iter::repeat_with(|| Job::now(counting("short", 1)));
        let long = std::iter::once_with(|| Job::now(counting("long", 10_000)));
        Ok(Jobs::lazy(long.chain(jobs)))
    });
    let is_last = |r: &Response| r.result == "long9999";
    let mut call = server.call(1);
    assert!(call.by_ref().any(|r| is_last(&r.unwrap())));
}
