//! Faults of user code and unlucky timing: each one affects only its own call.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use fanstream::engine::{
    CallEnd, CallObserver, Job, Jobs, Observer, Payload, Produced, Streams, StreamsConfig, Workers,
    WorkersConfig,
};
use fanstream::proto::stream::{Request, Response};
use fanstream::Status;
use grpcio::{
    ChannelBuilder, EnvBuilder, Marshaller, Method, MethodType, RpcContext, RpcStatus,
    RpcStatusCode, Server, ServerBuilder, ServerCredentials, ServerStreamingSink, ServiceBuilder,
};
use rstest::rstest;

use crate::common::harness::{
    blocked, counting, failure, response, texts, until, Caller, Harness, HOUR, TEST_TIMEOUT,
};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("while it is dropped");
    }
}

/// A producer that blocks in `next` and panics when it is dropped.
fn bad(gate: &crossbeam_channel::Receiver<()>) -> impl Iterator<Item = Produced<Response>> + Send {
    let panics = PanicsWhenDropped;
    blocked(gate).inspect(move |_| {
        let _ = &panics;
    })
}

#[rstest]
fn an_error_with_code_ok_is_internal_and_loses_no_response(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = Harness::start(transport, |_, _| {
        Ok(Job::now(counting("a", 5).chain([Err(Status::new(RpcStatusCode::OK, ""))])).into())
    });
    let (texts, status) = failure(&mut server.call(1));
    assert_eq!(texts.len(), 5);
    assert_eq!(status.code(), RpcStatusCode::INTERNAL);
}

/// Two panics at once would abort the process.
#[rstest]
fn a_panic_in_drop_ends_only_its_call(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (release, gate) = bounded::<()>(0);
    let server = Harness::start(transport, move |id, _| {
        Ok(match id {
            0 => Job::now(counting("b", 3)).into(),
            1 => Jobs::from(vec![
                Job::now([Err(Status::aborted(""))].into_iter()),
                Job::after(HOUR, bad(&gate)),
                Job::after(HOUR, bad(&gate)),
            ]),
            _ => Jobs::from(vec![
                Job::now(counting("a", 1)),
                Job::after(HOUR, bad(&gate)),
                Job::after(HOUR, bad(&gate)),
            ]),
        })
    });
    let (_, status) = failure(&mut server.call(1));
    assert_eq!(status.code(), RpcStatusCode::ABORTED);
    let mut cancelled = server.call(2);
    cancelled.next().unwrap().unwrap();
    drop(cancelled);
    until(|| server.streams.open() == 0);
    assert_eq!(texts(server.call(0)).len(), 3);
    drop(release);
}

#[rstest]
fn no_producer_runs_after_an_abort(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let aborted = Arc::new(AtomicBool::new(false));
    let late = Arc::new(AtomicUsize::new(0));
    let (seen, counter) = (aborted.clone(), late.clone());
    let server = Harness::start(transport, move |_, _| {
        let (seen, counter) = (seen.clone(), counter.clone());
        let endless = std::iter::repeat_with(move || {
            if seen.load(Ordering::SeqCst) {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_millis(1));
            Ok(response("tick"))
        });
        Ok(Job::now(endless).into())
    });
    let mut call = server.call(1);
    call.next().unwrap().unwrap();
    let status = RpcStatus::new(RpcStatusCode::UNAVAILABLE);
    assert_eq!(server.streams.abort_all(&status), 1);
    aborted.store(true, Ordering::SeqCst);
    assert_eq!(failure(&mut call).1.code(), RpcStatusCode::UNAVAILABLE);
    until(|| server.streams.open() == 0);
    // At most the message being made.
    assert!(late.load(Ordering::SeqCst) <= 1);
}

/// Cancelled calls count until their blocked producers return.
#[rstest]
fn a_cancelled_call_counts_while_its_producer_blocks(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (release, gate) = bounded::<()>(0);
    let blocking = Arc::new(AtomicUsize::new(0));
    let counter = blocking.clone();
    let config = StreamsConfig {
        max_streams: 4,
        ..StreamsConfig::default()
    };
    let server = Harness::with(transport, WorkersConfig::default(), config, move |id, _| {
        Ok(match id {
            0 => Job::now(counting("x", 1)).into(),
            _ => {
                let (gate, counter) = (gate.clone(), counter.clone());
                let blocks = std::iter::from_fn(move || {
                    counter.fetch_add(1, Ordering::SeqCst);
                    let _ = gate.recv();
                    None
                });
                Job::now(counting("first", 1).chain(blocks)).into()
            }
        })
    });
    for calls in 1..=4 {
        let mut call = server.call(1);
        call.next().unwrap().unwrap();
        until(|| blocking.load(Ordering::SeqCst) == calls);
    }
    let snapshot = || server.streams.snapshot().methods[0].clone();
    until(|| snapshot().open == 0);
    assert_eq!((server.streams.open(), snapshot().lingering), (4, 4));
    let (_, status) = failure(&mut server.call(0));
    assert_eq!(status.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
    // They do not delay shutdown: their clients have seen the end.
    assert!(server.streams.wait_until_none(TEST_TIMEOUT));
    drop(release);
    until(|| server.streams.open() == 0);
    assert_eq!(texts(server.call(0)), ["x0"]);
}

/// Open-and-cancel with blocking producers: other calls are served, and all resources are freed.
/// `FANSTREAM_LONG=1` makes ten times as many calls block ten times as long.
#[rstest]
fn open_and_cancel_delays_others_by_at_most_one_block(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (calls, block) = match std::env::var_os("FANSTREAM_LONG") {
        None => (1_000, Duration::from_millis(100)),
        Some(_) => (10_000, Duration::from_secs(1)),
    };
    let last_block = Arc::new(Mutex::new(Instant::now()));
    let last = last_block.clone();
    let server = Harness::start(transport, move |id, _| {
        let last = last.clone();
        let slow = counting("x", 1).inspect(move |_| {
            if id != 0 {
                std::thread::sleep(block);
                *last.lock().unwrap() = Instant::now();
            }
        });
        Ok(Job::now(slow).into())
    });
    // New connections for the cancelled calls: the server refuses calls on one with many resets.
    let own = |channel: ChannelBuilder| channel.use_local_subchannel_pool(true);
    let connect = || server.connect(&server.address, own);
    let (mut cancelling, other) = (connect(), connect());
    let mut longest = Duration::ZERO;
    for id in 1..=calls {
        if id % 100 == 0 {
            cancelling = connect();
        }
        let mut cancelled = server.call_over(&cancelling, id);
        // Every other call is cancelled at once.
        if id % 2 == 0 {
            until(|| server.streams.open() > 0);
        }
        cancelled.cancel();
        if id % 250 == 0 {
            let asked = Instant::now();
            assert_eq!(texts(server.call_over(&other, 0)), ["x0"]);
            longest = longest.max(asked.elapsed());
        }
    }
    until(|| server.streams.open() == 0 && server.workers.status().ready == 0);
    let back = last_block.lock().unwrap().elapsed();
    println!("another call waited {longest:?}; all was back {back:?} after the last block");
    assert!(longest < block + Duration::from_secs(5), "{longest:?}");
    assert!(back < Duration::from_secs(2), "{back:?}");
}

/// A message with a fault on the poll thread.
struct Faulty(Fault);

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The marshaller refuses the message.
    Encode,
    /// The marshaller panics.
    PanicEncoding,
    /// Its size panics, on the worker.
    PanicSizing,
    /// Its `Drop` panics.
    PanicDropping,
}

const FAULTS: [Fault; 5] = [
    Fault::None,
    Fault::Encode,
    Fault::PanicEncoding,
    Fault::PanicSizing,
    Fault::PanicDropping,
];

impl Payload for Faulty {
    fn encoded_len(&self) -> usize {
        assert!(self.0 != Fault::PanicSizing, "while it is sized");
        0
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let panics = self.0 == Fault::PanicDropping && !std::thread::panicking();
        assert!(!panics, "while it is dropped");
    }
}

const METHOD: Method<Request, Faulty> = Method {
    ty: MethodType::ServerStreaming,
    name: "/protobuf.StreamService/FetchResponse",
    req_mar: Marshaller {
        ser: grpcio::pb_ser,
        de: grpcio::pb_de,
    },
    resp_mar: Marshaller {
        ser: |message, buffer| match message.0 {
            Fault::Encode => Err(grpcio::Error::Codec("no such message".into())),
            Fault::PanicEncoding => panic!("while it is encoded"),
            _ => grpcio::pb_ser(&response("fine"), buffer),
        },
        de: |_| Err(grpcio::Error::Codec("it decodes nothing".into())),
    },
};

#[derive(Clone, Default)]
struct Recorder {
    ends: Arc<Mutex<Vec<CallEnd>>>,
    panics: bool,
}

impl Observer for Recorder {
    fn arrived(&self, _: &RpcContext<'_>) -> Box<dyn CallObserver> {
        Box::new(self.clone())
    }
}

impl CallObserver for Recorder {
    fn ended(self: Box<Self>, end: &CallEnd) {
        self.ends.lock().unwrap().push(end.clone());
        assert!(!self.panics, "an observer that panics");
    }
}

/// A server whose call `id` makes one message, with the fault of that number, after a good one.
fn faulty_server(recorder: &Recorder) -> (Server, Streams, Caller) {
    let workers = Workers::new(WorkersConfig::default()).unwrap();
    let observer: Arc<dyn Observer> = Arc::new(recorder.clone());
    let streams = Streams::with_observer(workers, StreamsConfig::default(), Some(observer));
    let own = streams.clone();
    let handler =
        move |ctx: RpcContext<'_>, request: Request, sink: ServerStreamingSink<Faulty>| {
            own.serve(&ctx, sink, move |_| {
                let fault = FAULTS[request.id as usize];
                let messages = [Fault::None, fault].into_iter();
                Ok(Job::now(messages.map(|fault| Ok(Faulty(fault)))).into())
            });
        };
    let poll = Arc::new(EnvBuilder::new().cq_count(1).build());
    let service = ServiceBuilder::new()
        .add_server_streaming_handler(&METHOD, handler)
        .build();
    let mut server = ServerBuilder::new(poll)
        .register_service(service)
        .build()
        .unwrap();
    let port = server.add_listening_port("127.0.0.1:0", ServerCredentials::insecure());
    server.start();
    let client = Caller::new(&format!("127.0.0.1:{}", port.unwrap()));
    (server, streams, client)
}

#[test]
fn poll_thread_faults_are_internal_for_their_own_call() {
    let recorder = Recorder::default();
    let (_server, streams, client) = faulty_server(&recorder);
    for id in [1, 2, 3, 4] {
        let (_, status) = failure(&mut client.call(id));
        assert_eq!(status.code(), RpcStatusCode::INTERNAL, "{id}");
        assert!(!status.message().contains("while"), "{}", status.message());
        // The only poll thread still serves.
        assert_eq!(texts(client.call(0)), ["fine", "fine"]);
    }
    until(|| streams.open() == 0);
    let ends = recorder.ends.lock().unwrap();
    let codes: Vec<_> = ends.iter().map(|end| end.code).collect();
    let (ok, internal) = (RpcStatusCode::OK, RpcStatusCode::INTERNAL);
    assert_eq!(
        codes,
        [internal, ok, internal, ok, internal, ok, internal, ok]
    );
}

#[test]
fn a_panicking_observer_fails_no_call() {
    let recorder = Recorder {
        panics: true,
        ..Recorder::default()
    };
    let (_server, streams, client) = faulty_server(&recorder);
    for _ in 0..3 {
        assert_eq!(texts(client.call(0)), ["fine", "fine"]);
    }
    until(|| streams.open() == 0 && recorder.ends.lock().unwrap().len() == 3);
}
