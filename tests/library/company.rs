//! Neighbours that misbehave: each test has one, and asks what another call notices.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{bounded, unbounded};
use fanstream::engine::{
    CallContext, Job, Jobs, Limits, Produced, StreamSender, StreamsConfig, WorkersConfig,
};
use fanstream::proto::stream::{Request, Response};
use fanstream::server::{Server, Service};
use grpcio::RpcStatusCode;

use super::{builder, client, count, failed, request, response, status, texts, COUNT, SECOND};
use crate::common::process::eventually;

/// Calls of [`COUNT`], by the id of their requests.
fn serve<J>(open: impl Fn(&CallContext, i32) -> J + Send + Sync + 'static) -> Service
where
    J: Into<Jobs<Response>>,
{
    Service::new().server_streaming(&COUNT, move |call, request: Request| {
        Ok::<Jobs<Response>, _>(open(call, request.id).into())
    })
}

fn numbers(n: usize) -> impl Iterator<Item = Produced<Response>> + Send {
    (0..n).map(|k| Ok(response(k)))
}

fn open(server: &Server) -> usize {
    server.streams().open()
}

/// Computes for this time.
fn compute(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Its last messages came without a wake-up: the clock thread wakes the writer.
#[test]
fn a_producer_that_blocks_after_many_messages_holds_none_back() {
    let (release, gate) = bounded::<()>(0);
    let server = builder()
        .add_service(serve(move |_, _| {
            let gate = gate.clone();
            let blocks = std::iter::once_with(move || {
                let _ = gate.recv();
                Ok(response("last"))
            });
            Job::now(numbers(100).chain(blocks))
        }))
        .start()
        .unwrap();
    let client = client(&server);
    for _ in 0..20 {
        let mut responses = client.call(&COUNT, request(1));
        for k in 0..100 {
            assert_eq!(responses.next().unwrap().unwrap().result, k.to_string());
        }
        drop(responses);
    }
    drop(release);
    eventually(|| (open(&server) == 0).then_some(()));
}

#[test]
fn all_messages_before_a_panic_or_a_failure_arrive() {
    let server = builder()
        .add_service(serve(|_, id| {
            let end = std::iter::once_with(move || {
                assert!(id == 1, "as asked");
                Err(status(RpcStatusCode::DATA_LOSS, "as asked"))
            });
            Job::now(numbers(100).chain(end))
        }))
        .start()
        .unwrap();
    let client = client(&server);
    for call in 0..100 {
        let id = call % 2;
        let mut responses = client.call(&COUNT, request(id));
        let messages: Vec<_> = responses.by_ref().take(100).map(Result::unwrap).collect();
        assert_eq!(messages.len(), 100);
        let expected = [RpcStatusCode::INTERNAL, RpcStatusCode::DATA_LOSS][id as usize];
        assert_eq!(failed(responses.next().unwrap()).0, expected);
    }
}

/// Twice as many as processors, so that all threads of a pool that does not grow compute.
#[test]
fn producers_that_compute_leave_threads_to_others() {
    let server = builder()
        .add_service(serve(|call, id| match id {
            0 => Job::now(numbers(1)),
            _ => {
                let call = call.clone();
                Job::now(numbers(1).inspect(move |_| {
                    let began = Instant::now();
                    while !call.is_over() && began.elapsed() < 6 * SECOND {
                        std::hint::spin_loop();
                    }
                }))
            }
        }))
        .start()
        .unwrap();
    let client = client(&server);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let computing: Vec<_> = (0..2 * processors)
        .map(|_| client.call(&COUNT, request(1)))
        .collect();
    eventually(|| (open(&server) == computing.len()).then_some(()));
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(client.call(&COUNT, request(0)).count(), 1);
        let took = began.elapsed();
        assert!(took < 3 * SECOND, "{took:?}");
    }
}

#[test]
fn heartbeats_come_though_all_threads_are_blocked() {
    let (release, gate) = bounded::<()>(0);
    let server = builder()
        .workers(WorkersConfig {
            max_threads: 2,
            ..WorkersConfig::default()
        })
        .add_service(serve(move |_, _| {
            let gate = gate.clone();
            let blocked = std::iter::from_fn(move || {
                let _ = gate.recv();
                None
            });
            let beat = || response("beat");
            Jobs::from(Job::now(blocked)).with_heartbeat(Duration::from_millis(20), beat)
        }))
        .start()
        .unwrap();
    let client = client(&server);
    let mut calls = [(); 2].map(|()| client.call(&COUNT, request(1)));
    for _ in 0..3 {
        for call in &mut calls {
            assert_eq!(call.next().unwrap().unwrap().result, "beat");
        }
    }
    drop(calls);
    drop(release);
    eventually(|| (open(&server) == 0).then_some(()));
}

/// A topic that is quiet: nobody sends, so no send fails.
#[test]
fn subscribers_that_leave_give_their_places_back() {
    let topic: Arc<Mutex<Vec<StreamSender<Response>>>> = Arc::default();
    let subscribers = topic.clone();
    let (tell, told) = unbounded();
    let server = builder()
        .streams(StreamsConfig {
            max_streams: 10,
            limits: Limits::default(),
            ..StreamsConfig::default()
        })
        .add_service(serve(move |_, _| {
            let (subscribers, tell) = (subscribers.clone(), tell.clone());
            Job::push(move |sender| {
                let tell = tell.clone();
                sender.on_close(move || tell.send(()).unwrap());
                sender.send(response("welcome")).unwrap();
                subscribers.lock().unwrap().push(sender);
                Ok(())
            })
        }))
        .start()
        .unwrap();
    let client = client(&server);
    for round in 0..3 {
        let mut calls: Vec<_> = (0..10).map(|_| client.call(&COUNT, request(1))).collect();
        for call in &mut calls {
            assert_eq!(call.next().unwrap().unwrap().result, "welcome");
        }
        drop(calls);
        for _ in 0..10 {
            told.recv_timeout(30 * SECOND).unwrap();
        }
        // The senders are still held.
        eventually(|| (open(&server) == 0).then_some(()));
        assert_eq!(topic.lock().unwrap().len(), 10 * (round + 1));
    }
    for sender in topic.lock().unwrap().drain(..) {
        assert!(sender.wait_until_closed(Duration::ZERO));
        // At once, on a worker.
        let (tell, told) = bounded(1);
        sender.on_close(move || tell.send(()).unwrap());
        told.recv_timeout(30 * SECOND).unwrap();
    }
}

/// The callback runs too when the call ends well, and keeps no call open.
#[test]
fn a_callback_for_the_end_does_not_keep_its_call_open() {
    let (tell, told) = bounded(1);
    let server = builder()
        .add_service(serve(move |_, _| {
            let tell = tell.clone();
            Job::push(move |sender| {
                sender.on_close(move || tell.send(()).unwrap());
                assert!(!sender.wait_until_closed(Duration::from_millis(5)));
                sender.send(response("only")).unwrap();
                Ok(())
            })
        }))
        .start()
        .unwrap();
    let client = client(&server);
    assert_eq!(texts(&client, 1), ["only"]);
    told.recv_timeout(30 * SECOND).unwrap();
}

/// Handlers that compute on the poll thread: each answer leaves before the next handler runs.
#[test]
fn a_burst_of_direct_calls_is_answered_one_by_one() {
    const CALLS: u32 = 100;
    const EACH: Duration = Duration::from_millis(5);
    let service = Service::new().server_streaming(&COUNT, move |_, request: Request| {
        compute(EACH);
        Ok(numbers(request.id as usize))
    });
    let server = builder().add_service(service.direct()).start().unwrap();
    let client = client(&server);
    assert_eq!(texts(&client, 1), ["0"]);
    let began = Instant::now();
    let mut calls: Vec<_> = (0..CALLS)
        .map(|_| client.call(&COUNT, request(1)))
        .collect();
    calls[0].next().unwrap().unwrap();
    let first = began.elapsed();
    for call in &mut calls[1..] {
        call.next().unwrap().unwrap();
    }
    let all = began.elapsed();
    assert!(first < all / 2, "the first after {first:?} of {all:?}");
}

#[test]
fn a_call_is_served_beside_one_that_never_ends() {
    let server = builder()
        .add_service(count())
        .add_service(
            Service::new().server_streaming(&super::ENDLESS, |_, _: Request| {
                Ok((0..).map(|k| Ok(response(k))))
            }),
        )
        .start()
        .unwrap();
    let client = client(&server);
    let mut endless: Vec<_> = (0..32)
        .map(|_| client.call(&super::ENDLESS, request(1)))
        .collect();
    for stream in &mut endless {
        stream.next().unwrap().unwrap();
    }
    assert_eq!(texts(&client, 3), ["0", "1", "2"]);
}
