//! Readers that read nothing: at the write-stall timeout their streams end and all that they held
//! is freed, whatever state they are in, and no other stream notices.

mod common {
    pub mod certificates;
    pub mod harness;
    pub mod process;
    pub mod wire;
}

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::harness::{failure, response, texts, until, Harness, HOUR};
use common::wire::Wire::{self, Clear, MutualTls, Tls};
use fanstream::engine::{
    Capacity, Job, Jobs, Limits, Produced, Responses, StreamsConfig, WorkersConfig,
};
use fanstream::proto::stream::Response;
use grpcio::{CallOption, RpcStatus, RpcStatusCode};
use rstest::rstest;

const TIMEOUT: Duration = Duration::from_secs(1);

/// The latest that a stalled stream is gone, and some time for a busy machine.
const GONE: Duration = TIMEOUT.saturating_mul(3).checked_div(2).unwrap();
const SLACK: Duration = Duration::from_secs(2);

fn server(wire: Wire, open: impl Fn(i32) -> Jobs<Response> + Send + Sync + 'static) -> Harness {
    server_with(wire, Capacity::default(), open)
}

fn server_with(
    wire: Wire,
    capacity: Capacity,
    open: impl Fn(i32) -> Jobs<Response> + Send + Sync + 'static,
) -> Harness {
    let streams = StreamsConfig {
        capacity,
        limits: Limits {
            write_stall_timeout: Some(TIMEOUT),
            ..Limits::default()
        },
        ..StreamsConfig::default()
    };
    Harness::with(wire, WorkersConfig::default(), streams, move |id, _| {
        Ok(open(id))
    })
}

/// As large messages as there is room for, for ever.
fn endless(alive: &Arc<()>) -> impl Iterator<Item = Produced<Response>> + Send {
    let alive = alive.clone();
    std::iter::repeat_with(move || {
        let _ = &alive;
        Ok(response(".".repeat(64 << 10)))
    })
}

/// A call of which one message is read, and no more.
#[track_caller]
fn stalled(server: &Harness, id: i32) -> Responses<Response> {
    let mut stalled = server.call_with(id, CallOption::default(), Capacity::messages(1));
    assert!(stalled.next().unwrap().is_ok());
    stalled
}

/// The end that a reader sees that comes back when it is too late.
#[track_caller]
fn end(mut late: Responses<Response>) -> RpcStatus {
    failure(&mut late).1
}

#[rstest]
fn a_reader_that_reads_nothing_loses_its_stream(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    let alive = Arc::new(());
    let held = alive.clone();
    let server = server(wire, move |_| {
        let later = Job::after(HOUR, endless(&held));
        vec![Job::now(endless(&held)), later].into()
    });
    let began = Instant::now();
    let stalled = stalled(&server, 1);
    // All but the test's own and the server's.
    until(|| Arc::strong_count(&alive) == 2);
    assert!(began.elapsed() >= TIMEOUT, "after {:?}", began.elapsed());
    until(|| server.streams.open() == 0);
    let took = began.elapsed();
    assert!(took < GONE + SLACK, "after {took:?}");
    until(|| server.workers.status().scheduled == 0);
    assert_eq!(end(stalled).code(), RpcStatusCode::CANCELLED);
}

#[rstest]
fn readers_that_read_at_all_keep_theirs(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    let alive = Arc::new(());
    let held = alive.clone();
    let server = server(wire, move |id| match id {
        0 => Job::now(endless(&held)).into(),
        // Nothing to read for three times as long.
        1 => Job::after(3 * TIMEOUT, std::iter::once(Ok(response("late")))).into(),
        _ => Job::now(endless(&held).take(1000)).into(),
    });
    let silent = server.call(1);
    let mut slow = server.call_with(2, CallOption::default(), Capacity::messages(1));
    let _stalled = stalled(&server, 0);
    let began = Instant::now();
    let mut read = 0;
    while began.elapsed() < 2 * TIMEOUT {
        assert!(slow.next().unwrap().is_ok());
        read += 1;
        // The time that this reader takes. Its C-core tells the server of it only now and then:
        // after some 4 MiB.
        std::thread::sleep(TIMEOUT / 200);
    }
    assert_eq!(texts(slow).len() + read, 1000);
    assert_eq!(texts(silent), ["late"]);
    until(|| server.streams.open() == 0);
}

#[rstest]
fn a_stream_that_only_has_its_end_to_send_is_no_exception(
    #[values(Clear, Tls, MutualTls)] wire: Wire,
) {
    let server = server(wire, |_| {
        let few = (0..20).map(|_| Ok(response("small")));
        // More than any window: it waits behind those that are not read.
        let last = std::iter::once_with(|| Ok(response(".".repeat(32 << 20))));
        Job::now(few.chain(last)).into()
    });
    let began = Instant::now();
    let stalled = stalled(&server, 1);
    until(|| server.streams.open() == 0);
    assert!(began.elapsed() >= TIMEOUT, "after {:?}", began.elapsed());
    assert!(
        began.elapsed() < GONE + SLACK,
        "after {:?}",
        began.elapsed()
    );
    drop(stalled);
}

#[rstest]
fn many_stalled_streams_end_together(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    // More than are looked at under one lock.
    const STALLED: i32 = 600;
    let alive = Arc::new(());
    let held = alive.clone();
    // Of which each holds little.
    let server = server_with(wire, Capacity::messages(2), move |_| {
        Job::now(endless(&held)).into()
    });
    let stalled: Vec<_> = (0..STALLED)
        .map(|id| server.call_with(id, CallOption::default(), Capacity::messages(1)))
        .collect();
    until(|| server.streams.open() == STALLED as usize);
    until(|| server.streams.open() == 0);
    until(|| Arc::strong_count(&alive) == 2);
    drop(stalled);
}
