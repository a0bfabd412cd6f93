//! Delivery of responses and the status of a call, as its client sees them.

use std::thread;
use std::time::{Duration, Instant};

use crate::common::harness::{
    blocked, counting, failing, failure, response, texts, until, Harness, HOUR,
};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use crossbeam_channel::{bounded, Receiver};
use fanstream::engine::{Capacity, Elapsed, Job, Jobs, Produced, StreamsConfig, WorkersConfig};
use fanstream::proto::stream::Response;
use fanstream::Status;
use grpcio::RpcStatusCode;
use rstest::rstest;

#[rstest]
fn a_call_ends_with_ok_when_all_its_producers_have_ended(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = Harness::start(transport, |_, _| {
        Ok(vec![
            Job::now(counting("a", 2)),
            Job::after(Duration::from_millis(20), counting("b", 1)),
        ]
        .into())
    });
    let mut responses = server.call(1);
    let received: Vec<_> = responses.by_ref().map(|r| r.unwrap().result).collect();
    assert_eq!(received, ["a0", "a1", "b0"]);
    assert_eq!(responses.status().unwrap().code(), RpcStatusCode::OK);
    assert!(responses.headers().is_some());
    until(|| server.streams.open() == 0);
}

#[rstest]
fn a_call_without_jobs_ends_with_ok_at_once(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |_, _| Ok(Jobs::lazy(std::iter::empty())));
    assert!(texts(server.call(1)).is_empty());
}

#[rstest]
fn a_call_is_cancelled_from_another_thread(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |_, _| {
        let never = Job::after(HOUR, counting("never", 1));
        Ok(vec![Job::now(counting("x", 1)), never].into())
    });
    let mut responses = server.call(1);
    assert_eq!(responses.next().unwrap().unwrap().result, "x0");
    let next = responses.next_timeout(Duration::from_millis(10));
    assert_eq!(next.map(drop), Err(Elapsed));
    let canceller = responses.canceller();
    let cancelling = thread::spawn(move || canceller.cancel());
    assert!(responses.next().is_none() && responses.status().is_none());
    cancelling.join().unwrap();
    until(|| server.streams.open() == 0);
}

#[rstest]
fn a_job_starts_on_time(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |id, _| {
        let delay = if id == 1 { 100 } else { 0 };
        Ok(Job::after(Duration::from_millis(delay), counting("x", 1)).into())
    });
    let asked = Instant::now();
    let late = server.call(1);
    assert_eq!(texts(server.call(0)), ["x0"]);
    assert_eq!(texts(late), ["x0"]);
    assert!(asked.elapsed() >= Duration::from_millis(100));
}

#[rstest]
fn a_failure_follows_all_earlier_responses(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |_, _| {
        let failing = failing(RpcStatusCode::DATA_LOSS, "the disk is gone");
        let producer = counting("a", 3).chain([failing]).chain(counting("b", 3));
        Ok(Job::now(producer).into())
    });
    let mut responses = server.call(1);
    let (texts, status) = failure(&mut responses);
    assert_eq!(texts, ["a0", "a1", "a2"]);
    assert_eq!(status.code(), RpcStatusCode::DATA_LOSS);
    assert_eq!(status.message(), "the disk is gone");
    assert!(responses.next().is_none(), "the error comes once");
    assert_eq!(responses.status().unwrap().code(), RpcStatusCode::DATA_LOSS);
}

#[rstest]
fn a_failure_ends_the_call_at_once(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (release, gate) = bounded::<()>(0);
    let server = Harness::start(transport, move |_, _| {
        let failing = failing(RpcStatusCode::ABORTED, "first");
        Ok(vec![
            Job::now(blocked(&gate)),
            Job::now([failing].into_iter()),
            Job::after(HOUR, counting("never", 1)),
        ]
        .into())
    });
    let (_, status) = failure(&mut server.call(1));
    assert_eq!(status.message(), "first");
    drop(release);
}

#[rstest]
fn a_request_can_be_refused(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |id, _| {
        let message = format!("there is no {id}");
        Err(Status::not_found(message))
    });
    let (texts, status) = failure(&mut server.call(7));
    assert!(texts.is_empty());
    assert_eq!(status.code(), RpcStatusCode::NOT_FOUND);
    assert_eq!(status.message(), "there is no 7");
}

#[rstest]
fn a_panic_is_internal_for_its_own_call_only(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    struct PanicsWhenDropped;
    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("while it is dropped");
        }
    }
    let server = Harness::start(transport, |id, _| match id {
        0 => panic!("while it is opened"),
        1 => {
            let panics = (0..1).map(|_| -> Produced<Response> { panic!("while it makes") });
            Ok(Job::now(counting("a", 1).chain(panics)).into())
        }
        2 => Ok(Jobs::lazy((0..1).map(|_| panic!("between jobs")))),
        3 => {
            let panics = PanicsWhenDropped;
            let once = counting("a", 1).inspect(move |_| {
                let _ = &panics;
            });
            Ok(Job::now(once).into())
        }
        _ => Ok(Job::now(counting("b", 1000)).into()),
    });
    let beside = server.call(100);
    for id in 0..3 {
        let (_, status) = failure(&mut server.call(id));
        assert_eq!(status.code(), RpcStatusCode::INTERNAL, "{id}");
        assert!(
            !status.message().contains("while"),
            "the panic message leaked"
        );
    }
    assert_eq!(texts(server.call(3)), ["a0"]);
    assert_eq!(texts(beside).len(), 1000);
    assert_eq!(texts(server.call(100)).len(), 1000);
}

#[rstest]
fn user_code_never_blocks_the_poll_thread(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    struct BlocksWhenDropped(Receiver<()>);
    impl Drop for BlocksWhenDropped {
        fn drop(&mut self) {
            let _ = self.0.recv();
        }
    }
    let (release, gate) = bounded::<()>(0);
    let server = Harness::start(transport, move |id, _| {
        let gate = gate.clone();
        match id {
            0 => {
                let _ = gate.recv();
                Ok(Job::now(counting("a", 1)).into())
            }
            1 => Ok(Job::now(blocked(&gate)).into()),
            2 => {
                let blocks = BlocksWhenDropped(gate);
                let producer = counting("c", 1).inspect(move |_| {
                    let _ = &blocks;
                });
                Ok(vec![Job::now(counting("now", 1)), Job::after(HOUR, producer)].into())
            }
            _ => Ok(Job::now(counting("x", 10)).into()),
        }
    });
    // All calls share the server's only poll thread.
    let blocked = [server.call(0), server.call(1)];
    let mut dropped = server.call(2);
    assert_eq!(dropped.next().unwrap().unwrap().result, "now0");
    drop(dropped);
    for _ in 0..20 {
        assert_eq!(texts(server.call(3)).len(), 10);
    }
    drop(release);
    for call in blocked {
        texts(call);
    }
}

#[rstest]
fn each_producers_responses_arrive_complete_and_in_order(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    const EACH: usize = 20_000;
    let server = Harness::start(transport, |_, _| {
        let jobs: Vec<_> = (0..5)
            .map(|p| Job::now(counting(&format!("{p}:"), EACH)))
            .collect();
        Ok(jobs.into())
    });
    let mut next = [0; 5];
    for text in texts(server.call(1)) {
        let (producer, k) = text.split_once(':').unwrap();
        let producer: usize = producer.parse().unwrap();
        assert_eq!(k.parse(), Ok(next[producer]), "of producer {producer}");
        next[producer] += 1;
    }
    assert_eq!(next, [EACH; 5]);
}

#[rstest]
fn a_channel_of_one_message_works(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let streams = StreamsConfig {
        capacity: Capacity::messages(1),
        ..StreamsConfig::default()
    };
    let server = Harness::with(transport, WorkersConfig::default(), streams, |_, _| {
        Ok(vec![Job::now(counting("a", 500)), Job::now(counting("b", 500))].into())
    });
    assert_eq!(texts(server.call(1)).len(), 1000);
}

#[rstest]
fn a_lone_message_is_flushed_while_its_producer_blocks(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (release, gate) = bounded::<()>(0);
    let server = Harness::start(transport, move |_, _| {
        let gate = gate.clone();
        let mut k = 0;
        let producer = std::iter::from_fn(move || {
            k += 1;
            if k > 3 {
                let _ = gate.recv();
                return None;
            }
            Some(Ok(response(format!("{k}"))))
        });
        Ok(Job::now(producer).into())
    });
    let mut responses = server.call(1);
    for k in ["1", "2", "3"] {
        assert_eq!(responses.next().unwrap().unwrap().result, k);
    }
    drop(release);
    assert!(responses.next().is_none());
}
