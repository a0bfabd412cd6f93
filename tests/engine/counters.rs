//! Counters of the engine: complete, exact and monotonic at any moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::common::harness::{counting, failing, failure, response, texts, until, Harness};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use fanstream::engine::{Job, MethodSnapshot, Streams, CODES};
use grpcio::RpcStatusCode;
use rstest::rstest;

const METHOD: &str = "/protobuf.StreamService/FetchResponse";

/// The counters of the only method.
#[track_caller]
fn counted(streams: &Streams) -> MethodSnapshot {
    let snapshot = streams.snapshot();
    let [method] = &snapshot.methods[..] else {
        panic!("{snapshot:?}")
    };
    method.clone()
}

fn handled(method: &MethodSnapshot) -> u64 {
    method.handled.iter().sum()
}

#[rstest]
fn counters_are_monotonic_and_exact(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    const ROUNDS: u64 = 20;
    const CALLS: u64 = 20;
    const MESSAGES: u64 = 50;
    let server = Harness::start(transport, |_, _| {
        Ok(Job::now(counting("n", MESSAGES as usize)).into())
    });
    server.streams.register_method(METHOD);
    let done = AtomicBool::new(false);
    let streams = server.streams.clone();
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut before = counted(&streams);
            while !done.load(Ordering::Acquire) {
                let now = counted(&streams);
                let numbers = |m: &MethodSnapshot| [m.started, m.messages, m.bytes, handled(m)];
                for (now, before) in numbers(&now).iter().zip(numbers(&before)) {
                    assert!(*now >= before, "{now} after {before}");
                }
                // A call is either open or ended.
                assert_eq!(now.started, handled(&now) + now.open as u64);
                before = now;
            }
        });
        for _ in 0..ROUNDS {
            let calls: Vec<_> = (0..CALLS).map(|_| server.call(1)).collect();
            for call in calls {
                assert_eq!(call.filter_map(Result::ok).count() as u64, MESSAGES);
            }
        }
        done.store(true, Ordering::Release);
        assert!(watch.join().is_ok());
    });
    until(|| server.streams.open() == 0);
    let method = counted(&server.streams);
    let calls = ROUNDS * CALLS;
    assert_eq!(method.name, METHOD);
    assert_eq!(method.started, calls);
    assert_eq!(method.handled[0], calls);
    assert_eq!(method.messages, calls * MESSAGES);
    assert_eq!(method.first.count(), calls);
    assert_eq!(method.handling.count(), calls);
    assert_eq!((method.open, method.parked, method.slots), (0, 0, 0));
}

#[rstest]
fn calls_are_counted_by_status(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |id, _| {
        let code = RpcStatusCode::from(id);
        match id {
            0 => Ok(Job::now(std::iter::once(Ok(response("x")))).into()),
            15 => panic!("as the test wants it"),
            _ => Ok(Job::now(std::iter::once(failing(code, "as asked"))).into()),
        }
    });
    texts(server.call(0));
    for code in (1..17).filter(|code| *code != 15) {
        let (_, status) = failure(&mut server.call(code));
        assert_eq!(i32::from(status.code()), code);
    }
    failure(&mut server.call(15)); // a panic: INTERNAL
    until(|| server.streams.open() == 0);
    let mut expected = [1; CODES];
    expected[13] += 1;
    expected[15] = 0;
    assert_eq!(counted(&server.streams).handled, expected);
}

#[test]
fn refusals_are_counted_by_reason() {
    let server = Harness::start(Clear, |_, _| Ok(Job::now(counting("n", 1)).into()));
    server.streams.count_refusal("moon");
    let status = grpcio::RpcStatus::new(RpcStatusCode::UNAVAILABLE);
    server.streams.refuse(status);
    failure(&mut server.call(1));
    let snapshot = server.streams.snapshot();
    assert_eq!(snapshot.refused, [("draining", 1), ("moon", 1)]);
    assert_eq!(snapshot.methods[0].started, 1);
    assert_eq!(snapshot.methods[0].handled[14], 1);
}
