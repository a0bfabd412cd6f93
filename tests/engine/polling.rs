//! Polled producers: they wait without a thread, for a time or a wake-up, and end with their calls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{bounded, unbounded, Sender};
use fanstream::engine::{Capacity, Job, Jobs, Next, Responses, StreamsConfig, WorkersConfig};
use fanstream::proto::stream::Response;
use fanstream::Status;
use grpcio::{CallOption, RpcStatus, RpcStatusCode};
use rstest::rstest;

use crate::common::harness::{
    counting, failing, failure, response, texts, until, Harness, HOUR, TEST_TIMEOUT,
};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};

const SOON: Duration = Duration::from_millis(1);

type Answer = Result<Next<Response>, Status>;

/// Answers as in this list, then ends.
fn answers(list: Vec<Answer>) -> Job<Response> {
    let mut list = VecDeque::from(list);
    Job::poll(move |_| list.pop_front().unwrap_or(Ok(Next::End)))
}

fn message(text: &str) -> Answer {
    Ok(Next::Message(response(text)))
}

/// Texts of one stream, and the wakers of who waits for them.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<(VecDeque<String>, Vec<Waker>)>>);

impl Events {
    fn send(&self, text: impl Into<String>) {
        let mut events = self.0.lock().unwrap();
        events.0.push_back(text.into());
        let waiting = std::mem::take(&mut events.1);
        drop(events);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The messages, until the text "end".
    fn job(&self) -> Job<Response> {
        let events = self.clone();
        Job::poll(move |waker| events.next(waker))
    }

    fn next(&self, waker: &Waker) -> Answer {
        let mut events = self.0.lock().unwrap();
        Ok(match events.0.pop_front() {
            Some(text) if text == "end" => Next::End,
            Some(text) => Next::Message(response(text)),
            None => {
                events.1.push(waker.clone());
                Next::WhenWoken
            }
        })
    }

    fn waiting(&self) -> usize {
        self.0.lock().unwrap().1.len()
    }
}

/// Tells the thread on which it is dropped.
struct TellsDrop(Sender<String>);

impl Drop for TellsDrop {
    fn drop(&mut self) {
        let name = thread::current().name().unwrap_or_default().to_string();
        let _ = self.0.send(name);
    }
}

fn few_workers(max_threads: usize) -> WorkersConfig {
    WorkersConfig {
        max_threads,
        ..WorkersConfig::default()
    }
}

fn read(responses: &mut Responses<Response>) -> String {
    responses.next().unwrap().unwrap().result
}

#[rstest]
fn a_producer_that_has_nothing_yet_is_asked_again(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[values(false, true)] ordered: bool,
) {
    let server = Harness::start(transport, move |_, _| {
        let polled = answers(vec![
            Ok(Next::Later(SOON)),
            message("a"),
            Ok(Next::Later(Duration::ZERO)),
            Ok(Next::At(Instant::now() + SOON * 20)),
            message("b"),
            message("c"),
            Ok(Next::At(Instant::now())),
        ]);
        let jobs = Jobs::from(vec![polled, Job::now(counting("d", 2))]);
        Ok(if ordered { jobs.ordered() } else { jobs })
    });
    for _ in 0..10 {
        let mut received = texts(server.call(1));
        if !ordered {
            received.sort();
        }
        assert_eq!(received, ["a", "b", "c", "d0", "d1"]);
    }
    until(|| server.streams.open() == 0 && server.workers.status().scheduled == 0);
}

#[test]
fn no_producer_is_asked_early_or_too_late() {
    let server = Harness::start(Clear, |_, _| {
        let mut asked = Vec::new();
        let polled = Job::poll(move |_| {
            asked.push(Instant::now());
            Ok(match asked[..] {
                [_] => Next::Later(SOON * 30),
                [_, second] => Next::At(second + SOON * 30),
                [first, second, third] => {
                    let early = second < first + SOON * 30 || third < second + SOON * 30;
                    Next::Message(response(early.to_string()))
                }
                _ => Next::End,
            })
        });
        // The timer of the call must come before that of this job.
        Ok(vec![polled, Job::after(HOUR, counting("late", 1))].into())
    });
    assert_eq!(read(&mut server.call(1)), "false");
    until(|| server.workers.status().scheduled == 0);
}

#[rstest]
fn each_wake_up_is_heard(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    const MESSAGES: usize = 5_000;
    let events = Events::default();
    let source = events.clone();
    let server = Harness::start(transport, move |_, _| Ok(source.job().into()));
    let mut responses = server.call(1);
    // Some before the first wait, and many while it runs or goes to sleep.
    for k in 0..MESSAGES {
        events.send(k.to_string());
        if k % 100 == 0 {
            until(|| events.waiting() == 1);
        }
    }
    for k in 0..MESSAGES {
        assert_eq!(read(&mut responses), k.to_string());
    }
    events.send("end");
    assert!(responses.next().is_none());
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Cancel,
    Deadline,
    Failure,
    Abort,
}

/// At once, though it would wait for longer than an `Instant` can tell, and on a worker.
#[rstest]
fn a_producer_that_waits_is_dropped_when_its_call_ends(
    #[values(End::Cancel, End::Deadline, End::Failure, End::Abort)] end: End,
    #[values(false, true)] until_woken: bool,
) {
    let (tell, dropped) = unbounded();
    let events = Events::default();
    let source = events.clone();
    let server = Harness::start(Clear, move |_, _| {
        let (tell, source) = (TellsDrop(tell.clone()), source.clone());
        let waits = Job::poll(move |waker| {
            let _ = &tell;
            source.next(waker)?;
            Ok(match until_woken {
                true => Next::WhenWoken,
                false => Next::Later(Duration::MAX),
            })
        });
        let fails = [failing(RpcStatusCode::ABORTED, "beside it")];
        let fails = Job::after(SOON * 20, fails.into_iter());
        Ok(match end {
            End::Failure => vec![waits, fails].into(),
            _ => waits.into(),
        })
    });
    let options = match end {
        End::Deadline => CallOption::default().timeout(SOON * 200),
        _ => CallOption::default(),
    };
    let responses = server.call_with(1, options, Capacity::default());
    until(|| events.waiting() == 1);
    let expected = match end {
        End::Cancel => {
            drop(responses);
            None
        }
        End::Abort => {
            let status = RpcStatus::new(RpcStatusCode::UNAVAILABLE);
            assert_eq!(server.streams.abort_all(&status), 1);
            Some((responses, RpcStatusCode::UNAVAILABLE))
        }
        End::Failure => Some((responses, RpcStatusCode::ABORTED)),
        End::Deadline => Some((responses, RpcStatusCode::DEADLINE_EXCEEDED)),
    };
    if let Some((mut responses, code)) = expected {
        assert_eq!(failure(&mut responses).1.code(), code);
    }
    let thread = dropped.recv_timeout(TEST_TIMEOUT).unwrap();
    assert!(thread.starts_with("fanstream-work"), "{thread}");
    until(|| server.streams.open() == 0 && server.workers.status().scheduled == 0);
}

#[test]
fn failures_and_panics_end_the_call() {
    let server = Harness::start(Clear, |id, _| {
        let mut asked = 0;
        Ok(Job::poll(move |_| {
            asked += 1;
            match (asked, id) {
                (1, _) => message("first"),
                (2, _) => Ok(Next::Later(SOON)),
                (_, 0) => Err(Status::data_loss("as asked")),
                _ => panic!("as asked"),
            }
        })
        .into())
    });
    for (id, code) in [(0, RpcStatusCode::DATA_LOSS), (1, RpcStatusCode::INTERNAL)] {
        let (texts, status) = failure(&mut server.call(id));
        assert_eq!((texts, status.code()), (vec!["first".into()], code));
    }
    until(|| server.streams.open() == 0);
}

#[rstest]
fn a_tolerated_failure_ends_only_its_polled_producer(#[values(false, true)] ordered: bool) {
    let (tell, failures) = unbounded();
    let server = Harness::start(Clear, move |_, _| {
        let tell = tell.clone();
        let fails = vec![
            message("a"),
            Ok(Next::Later(SOON)),
            Err(Status::data_loss("tolerated")),
            message("never"),
        ];
        let goes_on = vec![Ok(Next::Later(SOON * 20)), message("b")];
        let jobs = Jobs::from(vec![answers(fails), answers(goes_on)]);
        let jobs = if ordered { jobs.ordered() } else { jobs };
        Ok(jobs.tolerate_failures(move |status| tell.send(status.message().to_string()).unwrap()))
    });
    assert_eq!(texts(server.call(1)), ["a", "b"]);
    assert_eq!(failures.try_iter().collect::<Vec<_>>(), ["tolerated"]);
}

/// A producer that is not first makes one message ahead, or waits for it.
#[test]
fn ordered_producers_wait_for_messages_and_turns() {
    let sources: Vec<_> = (0..3).map(|_| Events::default()).collect();
    let jobs = sources.clone();
    let server = Harness::start(Clear, move |_, _| {
        let jobs: Vec<_> = jobs.iter().map(Events::job).collect();
        Ok(Jobs::from(jobs).ordered())
    });
    let mut responses = server.call(1);
    until(|| sources.iter().all(|source| source.waiting() == 1));
    // The third one makes a message ahead; the second one waits for its first.
    for text in ["c0", "c1", "end"] {
        sources[2].send(text);
    }
    sources[0].send("a0");
    assert_eq!(read(&mut responses), "a0");
    sources[0].send("end");
    sources[1].send("b0");
    assert_eq!(read(&mut responses), "b0");
    sources[1].send("end");
    assert_eq!(texts(responses), ["c0", "c1"]);
}

#[test]
fn heartbeats_come_while_a_producer_waits() {
    let events = Events::default();
    let source = events.clone();
    let server = Harness::start(Clear, move |_, _| {
        Ok(Jobs::from(source.job()).with_heartbeat(SOON * 20, || response("beat")))
    });
    let mut responses = server.call(1);
    for _ in 0..3 {
        assert_eq!(read(&mut responses), "beat");
    }
    events.send("end");
    assert!(texts(responses).iter().all(|text| text == "beat"));
}

/// And short calls are answered beside them.
#[test]
fn ten_thousand_streams_wait_beside_two_workers() {
    const STREAMS: usize = 10_000;
    let events: Vec<_> = (0..STREAMS).map(|_| Events::default()).collect();
    let sources = events.clone();
    let server = Harness::with(
        Clear,
        few_workers(2),
        StreamsConfig::default(),
        move |id, _| {
            Ok(match usize::try_from(id) {
                Ok(id) => sources[id].job().into(),
                Err(_) => Job::now(counting("short", 1)).into(),
            })
        },
    );
    let connect = |_| {
        server.connect(&server.address, |channel| {
            channel.use_local_subchannel_pool(true)
        })
    };
    let channels: Vec<_> = (0..10).map(connect).collect();
    let mut calls = Vec::new();
    for (k, events) in events.chunks(STREAMS / 10).enumerate() {
        let channel = &channels[k];
        let ids = k * events.len()..(k + 1) * events.len();
        calls.extend(ids.map(|id| server.call_over(channel, id as i32)));
        until(|| events.iter().all(|events| events.waiting() == 1));
    }
    for round in 0..2 {
        until(|| events.iter().all(|events| events.waiting() == 1));
        until(|| server.workers.status().ready == 0);
        let status = server.workers.status();
        assert!(status.threads <= 3 && status.scheduled == 0, "{status:?}");
        assert_eq!(texts(server.call(-1)), ["short0"]);
        for (id, events) in events.iter().enumerate() {
            events.send(format!("{round} {id}"));
        }
        for (id, call) in calls.iter_mut().enumerate() {
            assert_eq!(read(call), format!("{round} {id}"));
        }
    }
    drop(calls);
    until(|| server.streams.open() == 0);
}

/// The wake-up may find the call before, in and after its end.
#[test]
fn a_wake_up_in_the_moment_of_a_cancellation_is_harmless() {
    const CALLS: i32 = 2_000;
    let held = Arc::new(());
    let keep = held.clone();
    let (give, wakers) = unbounded::<(i32, Waker)>();
    let server = Harness::start(Clear, move |id, _| {
        let (give, held) = (give.clone(), keep.clone());
        Ok(Job::poll(move |waker| {
            let _ = &held;
            let _ = give.send((id, waker.clone()));
            Ok(Next::WhenWoken)
        })
        .into())
    });
    let (pass, passed) = bounded::<Waker>(0);
    let wakes = thread::spawn(move || passed.into_iter().for_each(Waker::wake));
    for id in 0..CALLS {
        let call = server.call(id);
        let waker = loop {
            let (of, waker) = wakers.recv_timeout(TEST_TIMEOUT).unwrap();
            if of == id {
                break waker;
            }
        };
        pass.send(waker).unwrap();
        drop(call);
    }
    drop(pass);
    wakes.join().unwrap();
    until(|| server.streams.open() == 0);
    // The function that opens calls holds one reference.
    until(|| Arc::strong_count(&held) == 2);
    assert_eq!(server.workers.status().scheduled, 0);
}

/// It waits for a free slot, not only for its event.
#[test]
fn a_producer_with_a_slow_reader_is_not_asked() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let server = Harness::start(Clear, move |_, _| {
        let asked = counter.clone();
        Ok(Job::poll(move |waker| {
            asked.fetch_add(1, Ordering::SeqCst);
            waker.wake_by_ref();
            Ok(Next::Message(response("x".repeat(64 * 1024))))
        })
        .into())
    });
    let unread = server.call_with(1, CallOption::default(), Capacity::messages(1));
    let asked = || asked.load(Ordering::SeqCst);
    let held = crate::feeding::settled(asked);
    assert!(held < 400, "{held} messages wait for the reader");
    drop(unread);
    until(|| server.streams.open() == 0);
}
