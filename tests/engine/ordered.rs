//! Ordered calls: producers run in parallel, and their messages arrive in job order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{bounded, unbounded};
use fanstream::engine::{Capacity, Job, Jobs, Produced, StreamsConfig, WorkersConfig};
use fanstream::proto::stream::Response;
use fanstream::Status;
use grpcio::{CallOption, RpcStatusCode};
use rstest::rstest;

use crate::common::harness::{
    blocked, counting, failing, failure, response, texts, until, Harness, HOUR, TEST_TIMEOUT,
};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use crate::feeding::settled;

/// The messages of `jobs` jobs in order, each counting to `each`.
fn in_order(jobs: usize, each: usize) -> Vec<String> {
    let of_job = |job| (0..each).map(move |k| format!("{job}:{k}"));
    (0..jobs).flat_map(of_job).collect()
}

fn job(number: usize, each: usize) -> impl Iterator<Item = Produced<Response>> + Send {
    counting(&format!("{number}:"), each)
}

#[rstest]
fn messages_arrive_in_job_order(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[values(1, 7, 256)] capacity: usize,
    #[values(1, 64)] max_threads: usize,
) {
    let workers = WorkersConfig {
        max_threads,
        ..WorkersConfig::default()
    };
    let streams = StreamsConfig {
        capacity: Capacity::messages(capacity),
        ..StreamsConfig::default()
    };
    let server = Harness::with(transport, workers, streams, |id, _| {
        let jobs = move |number: usize| match id {
            0 => Job::now(job(number, EACH[number % 4])),
            _ => Job::now(job(number, 1)),
        };
        Ok(Jobs::lazy((0..600).map(jobs)).ordered())
    });
    assert_eq!(texts(server.call(1)), in_order(600, 1));
    let expected = (0..600).flat_map(|number| {
        let texts = (0..EACH[number % 4]).map(move |k| format!("{number}:{k}"));
        texts.collect::<Vec<_>>()
    });
    assert!(texts(server.call(0)).into_iter().eq(expected));
}

/// Some are empty, some short, some much longer than a slice.
const EACH: [usize; 4] = [0, 1, 3, 200];

/// In sequence they would take 2 s.
#[rstest]
fn producers_run_in_parallel(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |_, _| {
        let slow =
            |number| Job::now(job(number, 1).inspect(|_| thread::sleep(Duration::from_millis(20))));
        Ok(Jobs::lazy((0..100).map(slow)).ordered())
    });
    let began = Instant::now();
    assert_eq!(texts(server.call(1)), in_order(100, 1));
    let took = began.elapsed();
    println!("100 jobs of 20 ms took {took:?}");
    assert!(took < Duration::from_millis(1_600), "{took:?}");
}

#[rstest]
fn at_most_255_producers_make_one_message_ahead(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (release, gate) = bounded::<()>(0);
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    let server = Harness::start(transport, move |_, _| {
        let (gate, made) = (gate.clone(), counter.clone());
        let others = (1..1_000).map(move |number| {
            let made = made.clone();
            let counted = job(number, 2).inspect(move |_| {
                made.fetch_add(1, Ordering::SeqCst);
            });
            Job::now(counted)
        });
        let first = std::iter::once_with(move || Job::now(blocked(&gate).chain(job(0, 2))));
        Ok(Jobs::lazy(first.chain(others)).ordered())
    });
    let responses = server.call(1);
    until(|| made.load(Ordering::SeqCst) == 255);
    assert_eq!(settled(|| made.load(Ordering::SeqCst)), 255);
    drop(release);
    assert_eq!(texts(responses), in_order(1_000, 2));
}

/// A failure waits behind messages made later.
#[rstest]
#[case::status(false)]
#[case::panic(true)]
fn a_failure_is_delivered_in_order(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[case] panics: bool,
) {
    let (tell, told) = unbounded::<()>();
    let server = Harness::start(transport, move |_, _| {
        let (tell, told) = (tell.clone(), told.clone());
        let slow = job(0, 3).inspect(move |_| {
            let _ = told.recv_timeout(TEST_TIMEOUT);
        });
        let fails = std::iter::once_with(move || {
            (0..3).for_each(|_| tell.send(()).unwrap());
            assert!(!panics, "while it makes");
            failing(RpcStatusCode::DATA_LOSS, "in its turn")
        });
        let jobs = vec![
            Job::now(slow),
            Job::now(fails),
            Job::now(job(2, 1)),
            Job::after(HOUR, job(3, 1)),
        ];
        Ok(Jobs::from(jobs).ordered())
    });
    let (texts, status) = failure(&mut server.call(1));
    assert_eq!(texts, in_order(1, 3));
    let expected = match panics {
        true => RpcStatusCode::INTERNAL,
        false => RpcStatusCode::DATA_LOSS,
    };
    assert_eq!(status.code(), expected);
    until(|| server.streams.open() == 0);
}

/// The jobs behind it may run at that moment.
#[rstest]
fn nothing_follows_a_failed_push_job(#[values(Clear)] transport: Transport) {
    let server = Harness::start(transport, |_, _| {
        let fails = Job::push(|sender| {
            sender.send(response("0:0")).unwrap();
            Err(Status::data_loss("it fails"))
        });
        let jobs = vec![fails, Job::now(job(1, 2)), Job::now(job(2, 2))];
        Ok(Jobs::from(jobs).ordered())
    });
    // Many at a time, so that a worker is awake for the next job at that moment.
    for round in 0..300 {
        let calls: Vec<_> = (0..32).map(|_| server.call(1)).collect();
        for mut call in calls {
            let (texts, status) = failure(&mut call);
            assert_eq!(texts, in_order(1, 1), "round {round}");
            assert_eq!(status.code(), RpcStatusCode::DATA_LOSS);
        }
    }
}

/// With one worker, a push job that started out of order would wait forever.
#[rstest]
fn push_jobs_are_delivered_in_order(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let workers = WorkersConfig {
        max_threads: 1,
        ..WorkersConfig::default()
    };
    let streams = StreamsConfig {
        capacity: Capacity::messages(100),
        ..StreamsConfig::default()
    };
    let server = Harness::with(transport, workers, streams, |_, _| {
        let push = |number: usize| {
            Job::push(move |sender| {
                let from_elsewhere = move || {
                    for k in 0..10 {
                        sender.send(response(format!("{number}:{k}"))).unwrap();
                    }
                };
                match number % 4 {
                    0 => drop(thread::spawn(from_elsewhere)),
                    _ => from_elsewhere(),
                }
                Ok(())
            })
        };
        let jobs = move |number| match number % 2 {
            0 => push(number),
            _ => Job::now(job(number, 10)),
        };
        Ok(Jobs::lazy((0..100).map(jobs)).ordered())
    });
    assert_eq!(texts(server.call(1)), in_order(100, 10));
    until(|| server.streams.open() == 0);
}

/// Held messages and waiting producers are dropped at once, even if dropping panics.
#[rstest]
fn an_ended_call_drops_its_held_messages(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    struct PanicsWhenDropped(Arc<AtomicUsize>);
    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
            panic!("while it is dropped");
        }
    }
    let (release, gate) = bounded::<()>(0);
    let alive = Arc::new(AtomicUsize::new(0));
    let counter = alive.clone();
    let server = Harness::start(transport, move |_, _| {
        let (gate, alive) = (gate.clone(), counter.clone());
        let bad = move |number| {
            alive.fetch_add(1, Ordering::SeqCst);
            let bad = PanicsWhenDropped(alive.clone());
            Job::now(job(number, 2).inspect(move |_| {
                let _ = &bad;
            }))
        };
        let first = job(0, 1).chain(blocked(&gate));
        let jobs = std::iter::once(Job::now(first)).chain((1..20).map(bad));
        Ok(Jobs::lazy(jobs).ordered())
    });
    let mut responses = server.call_with(1, CallOption::default(), Capacity::messages(1));
    assert_eq!(responses.next().unwrap().unwrap().result, "0:0");
    until(|| alive.load(Ordering::SeqCst) == 19);
    drop(responses);
    until(|| alive.load(Ordering::SeqCst) == 0);
    assert!(server.streams.wait_until_none(TEST_TIMEOUT));
    drop(release);
    until(|| server.streams.open() == 0);
}
