//! Streams that wait without a thread, in company: beside readers that stall, floods, and producers
//! that compute or block.

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use crossbeam_channel::bounded;
use fanstream::client::{Client, ResponseStream};
use fanstream::engine::{CallContext, Job, Next, Produced, WorkersConfig};
use fanstream::proto::stream::{Request, Response};
use fanstream::server::{Server, Service};
use grpcio::RpcStatusCode;

use crate::common::process::eventually;
use crate::{builder, client, failed, request, response, texts, COUNT, ENDLESS, SECOND};

const HOUR: Duration = Duration::from_secs(3600);

/// A number that grows, and the wakers of the streams that wait for it.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<(usize, Vec<Waker>)>>);

impl Counter {
    fn set(&self, number: usize) {
        let mut state = self.0.lock().unwrap();
        state.0 = number;
        let waiting = std::mem::take(&mut state.1);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn waiting(&self) -> usize {
        self.0.lock().unwrap().1.len()
    }

    /// All numbers up to the counter's, until the server drains. It waits to be woken, or also for a
    /// time.
    fn follow(&self, call: &CallContext, request: &Request) -> Job<Response> {
        let (counter, call, mut sent) = (self.clone(), call.clone(), 0);
        let wait = match request.id {
            0 => Next::WhenWoken,
            1 => Next::Later(HOUR),
            _ => Next::Later(Duration::from_micros(1)),
        };
        Job::poll(move |waker| {
            let mut state = counter.0.lock().unwrap();
            if sent < state.0 {
                sent += 1;
                return Ok(Next::Message(response(sent)));
            }
            if call.is_draining() {
                return Ok(Next::End);
            }
            state.1.push(waker.clone());
            Ok(wait.clone())
        })
    }

    fn service(&self) -> Service {
        let counter = self.clone();
        Service::new().server_streaming(&COUNT, move |call, request| {
            Ok(counter.follow(call, &request))
        })
    }
}

fn expect(stream: &mut ResponseStream<Response>, numbers: std::ops::RangeInclusive<usize>) {
    for number in numbers {
        assert_eq!(stream.next().unwrap().unwrap().result, number.to_string());
    }
}

/// Follows the counter beside the neighbours, which were called before on the same connection.
fn is_served(counter: &Counter, client: &Client) {
    let mut stream = client.call(&COUNT, request(0));
    for number in 1..=20 {
        eventually(|| (counter.waiting() == 1).then_some(()));
        counter.set(number);
        expect(&mut stream, number..=number);
    }
    counter.set(0);
}

fn open(server: &Server) -> usize {
    server.streams().open()
}

/// Small messages join, and a slice wakes their reader at its end.
#[test]
fn no_message_waits_with_its_producer() {
    let counter = Counter::default();
    for service in [counter.service(), counter.service().direct()] {
        let server = builder().add_service(service).start().unwrap();
        let client = client(&server);
        let mut stream = client.call(&COUNT, request(0));
        for (before, number) in [(0, 1), (1, 17), (17, 400), (400, 401)] {
            counter.set(number);
            expect(&mut stream, before + 1..=number);
        }
        drop(stream);
        eventually(|| (open(&server) == 0).then_some(()));
        counter.set(0);
    }
}

#[test]
fn streams_that_wait_end_at_the_drain() {
    let counter = Counter::default();
    for service in [counter.service(), counter.service().direct()] {
        let server = builder().add_service(service).start().unwrap();
        let client = client(&server);
        let calls = (0..150).map(|k| client.call(&COUNT, request(k % 3)));
        let streams: Vec<_> = calls.collect();
        let is_open = || open(&server) == 150 && counter.waiting() >= 150;
        eventually(|| is_open().then_some(()));
        assert_eq!(server.shutdown(HOUR).aborted, 0);
        for stream in streams {
            assert_eq!(stream.map(Result::unwrap).count(), 0);
        }
        counter.set(0);
    }
}

/// It waits for what never comes.
#[test]
fn a_stream_that_ignores_the_drain_is_aborted() {
    let service = Service::new().server_streaming(&COUNT, |_, _: Request| {
        Ok(Job::poll(|_| Ok(Next::<Response>::WhenWoken)))
    });
    let server = builder().add_service(service).start().unwrap();
    let mut stream = client(&server).call(&COUNT, request(0));
    eventually(|| (open(&server) == 1).then_some(()));
    assert_eq!(server.shutdown(Duration::from_millis(20)).aborted, 1);
    let (code, _) = failed(stream.next().unwrap());
    assert_eq!(code, RpcStatusCode::UNAVAILABLE);
}

#[test]
fn a_stream_is_woken_beside_a_stalled_reader_and_a_flood() {
    let counter = Counter::default();
    let flood = Service::new().server_streaming(&ENDLESS, |_, request: Request| {
        let text = "x".repeat(request.id as usize);
        Ok((0..).map(move |_: u64| Ok(response(&text))))
    });
    let server = builder()
        .workers(two_workers())
        .add_service(flood)
        .add_service(counter.service())
        .start()
        .unwrap();
    let client = client(&server);
    let stalled: Vec<_> = (0..4)
        .map(|_| client.call(&ENDLESS, request(10_000)))
        .collect();
    let (stop, stopped) = bounded::<()>(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (flood, stopped) = (client.call(&ENDLESS, request(1)), stopped.clone());
            scope.spawn(move || {
                let running = |_: &_| {
                    stopped.try_recv() != Err(crossbeam_channel::TryRecvError::Disconnected)
                };
                flood.take_while(running).map(Result::unwrap).count()
            });
        }
        is_served(&counter, &client);
        drop(stop);
    });
    drop(stalled);
}

#[test]
fn a_stream_is_woken_beside_producers_that_compute_or_block() {
    let counter = Counter::default();
    let (release, gate) = bounded::<()>(0);
    let busy = Service::new().server_streaming(&ENDLESS, move |call, request: Request| {
        let (call, gate) = (call.clone(), gate.clone());
        Ok(std::iter::from_fn(move || -> Option<Produced<Response>> {
            match request.id {
                0 => drop(gate.recv()),
                _ => while !call.is_over() {},
            }
            None
        }))
    });
    let server = builder()
        .add_service(busy)
        .add_service(counter.service())
        .start()
        .unwrap();
    let client = client(&server);
    let busy: Vec<_> = (0..8)
        .map(|id| client.call(&ENDLESS, request(id % 2)))
        .collect();
    is_served(&counter, &client);
    drop(release);
    drop(busy);
    eventually(|| (open(&server) == 0).then_some(()));
}

fn two_workers() -> WorkersConfig {
    WorkersConfig {
        max_threads: 2,
        ..WorkersConfig::default()
    }
}

#[test]
fn short_calls_are_answered_beside_polls_of_all_kinds() {
    let short = Service::new()
        .server_streaming(&COUNT, |_, request: Request| {
            Ok((0..request.id).map(|n| Ok(response(n))))
        })
        .server_streaming(&ENDLESS, |_, request: Request| {
            let wait = match request.id % 3 {
                0 => Duration::ZERO,
                1 => Duration::from_millis(1),
                _ => SECOND,
            };
            Ok(Job::poll(move |_| Ok(Next::<Response>::Later(wait))))
        });
    let server = builder()
        .workers(two_workers())
        .add_service(short)
        .start()
        .unwrap();
    let client = client(&server);
    let polls: Vec<_> = (0..300)
        .map(|id| client.call(&ENDLESS, request(id)))
        .collect();
    eventually(|| (open(&server) == 300).then_some(()));
    for _ in 0..10 {
        assert_eq!(texts(&client, 3), ["0", "1", "2"]);
    }
    drop(polls);
    eventually(|| (open(&server) == 0).then_some(()));
}
