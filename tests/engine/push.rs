//! Push jobs: user code that sends messages, from a worker, another thread or a callback.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;
use fanstream::engine::TrySendError;
use fanstream::engine::{
    Capacity, IntoJobs, Job, Jobs, StreamSender, StreamsConfig, WorkersConfig,
};
use fanstream::proto::stream::Response;
use fanstream::Status;
use grpcio::{CallOption, RpcStatus, RpcStatusCode};
use rstest::rstest;

use crate::common::harness::{
    blocked, counting, failing, failure, response, texts, until, Harness, HOUR, TEST_TIMEOUT,
};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use crate::feeding::settled;

type Sender = StreamSender<Response>;

/// Sends texts until one is refused; returns the number of accepted ones.
fn send_counting(sender: &Sender, n: usize) -> usize {
    (0..n)
        .take_while(|k| sender.send(response(k.to_string())).is_ok())
        .count()
}

/// True after a sender has found the channel full.
fn has_stalled(server: &Harness) -> bool {
    server
        .streams
        .snapshot()
        .methods
        .iter()
        .any(|m| m.stalls > 0)
}

fn numbers(n: usize) -> Vec<String> {
    (0..n).map(|k| k.to_string()).collect()
}

#[rstest]
fn pushed_messages_arrive_in_order_until_the_function_returns(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = Harness::start(transport, |_, _| {
        Ok(Job::push(|sender| {
            assert_eq!(send_counting(&sender, 10_000), 10_000);
            Ok(())
        })
        .into_jobs())
    });
    assert_eq!(texts(server.call(1)), numbers(10_000));
    until(|| server.streams.open() == 0);
}

#[rstest]
fn a_call_lasts_until_the_last_sender_is_dropped(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (give, given) = bounded::<Sender>(1);
    let server = Harness::start(transport, move |_, _| {
        let give = give.clone();
        let push = Job::push(move |sender| {
            sender.send(response("first")).unwrap();
            give.send(sender).unwrap();
            Ok(())
        });
        Ok(vec![push, Job::now(counting("beside", 1))].into())
    });
    let mut responses = server.call(1);
    let mut both = [(); 2].map(|()| responses.next().unwrap().unwrap().result);
    both.sort();
    assert_eq!(both, ["beside0", "first"]);
    let sender = given.recv_timeout(TEST_TIMEOUT).unwrap();
    let clone = sender.clone();
    drop(sender);
    clone.try_send(response("from elsewhere")).unwrap();
    assert_eq!(responses.next().unwrap().unwrap().result, "from elsewhere");
    drop(clone);
    assert!(responses.next().is_none());
    assert_eq!(responses.status().unwrap().code(), RpcStatusCode::OK);
    until(|| server.streams.open() == 0);
}

#[rstest]
fn a_slow_reader_blocks_senders(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    const MESSAGES: usize = 2_000;
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = sent.clone();
    let server = Harness::start(transport, move |_, _| {
        let sent = counter.clone();
        Ok(Job::push(move |sender: Sender| {
            for _ in 0..MESSAGES {
                sender.send(response("x".repeat(64 * 1024))).unwrap();
                sent.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        })
        .into())
    });
    let unread = server.call_with(1, CallOption::default(), Capacity::messages(1));
    until(|| has_stalled(&server));
    let held = settled(|| sent.load(Ordering::SeqCst));
    // The channel and the grown HTTP/2 windows.
    assert!(held < MESSAGES / 5, "{held} messages wait for the reader");
    assert_eq!(texts(unread).len(), MESSAGES);
}

#[rstest]
fn a_blocked_sender_ends_with_its_call(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[values(true, false)] cancels: bool,
) {
    let (tell, told) = bounded(1);
    let (release, gate) = bounded::<()>(0);
    let server = Harness::start(transport, move |_, _| {
        let (tell, gate) = (tell.clone(), gate.clone());
        let push = Job::push(move |sender: Sender| {
            while sender.send(response("x".repeat(64 * 1024))).is_ok() {}
            let _ = tell.send(sender.is_closed());
            Ok(())
        });
        let fails = std::iter::once_with(move || {
            let _ = gate.recv();
            failing(RpcStatusCode::ABORTED, "beside it")
        });
        // It starts first, while the channel has room.
        Ok(vec![Job::now(fails), push].into())
    });
    let unread = server.call_with(1, CallOption::default(), Capacity::messages(1));
    until(|| has_stalled(&server));
    match cancels {
        true => drop(unread),
        false => drop(release),
    }
    assert_eq!(told.recv_timeout(TEST_TIMEOUT), Ok(true));
}

#[rstest]
fn a_failure_follows_all_earlier_messages(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |id, _| {
        let status = Status::data_loss("gone");
        let push = Job::push(move |sender| {
            send_counting(&sender, 3);
            match id {
                0 => return Err(status),
                1 => panic!("while it pushes"),
                2 => {
                    sender.fail(status);
                    assert!(sender.is_closed());
                    assert!(sender.send(response("late")).is_err());
                    let late = sender.try_send(response("late"));
                    assert!(matches!(late, Err(TrySendError::Closed(_))));
                }
                _ => sender.fail(RpcStatus::ok()),
            }
            Ok(())
        });
        // It never starts, and must not keep the call open.
        Ok(vec![push, Job::after(HOUR, counting("never", 1))].into())
    });
    let internal = RpcStatusCode::INTERNAL;
    let lost = RpcStatusCode::DATA_LOSS;
    for (id, code) in [(0, lost), (1, internal), (2, lost), (3, internal)] {
        let (texts, status) = failure(&mut server.call(id));
        assert_eq!((texts, status.code()), (numbers(3), code), "{id}");
        assert!(!status.message().contains("while"), "{}", status.message());
    }
    until(|| server.streams.open() == 0);
}

/// It does not even count as an open stream.
#[rstest]
fn a_forgotten_sender_keeps_no_ended_call_open(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let forgotten = Arc::new(Mutex::new(Vec::<Sender>::new()));
    let keep = forgotten.clone();
    let server = Harness::start(transport, move |_, _| {
        let keep = keep.clone();
        Ok(Job::push(move |sender| {
            sender.send(response("hello")).unwrap();
            keep.lock().unwrap().push(sender);
            Ok(())
        })
        .into())
    });
    let mut responses = server.call(1);
    assert_eq!(responses.next().unwrap().unwrap().result, "hello");
    drop(responses);
    assert!(server.streams.wait_until_none(TEST_TIMEOUT));
    until(|| forgotten.lock().unwrap().len() == 1);
    let mut senders = forgotten.lock().unwrap();
    assert!(senders[0].is_closed());
    assert!(senders[0].send(response("too late")).is_err());
    until(|| server.streams.open() == 0);
    senders.clear();
}

#[rstest]
fn at_most_256_push_jobs_run(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let kept = Arc::new(Mutex::new(Vec::<Sender>::new()));
    let keep = kept.clone();
    let server = Harness::start(transport, move |_, _| {
        let keep = keep.clone();
        let push = move || {
            let keep = keep.clone();
            Job::push(move |sender| {
                keep.lock().unwrap().push(sender);
                Ok(())
            })
        };
        Ok(Jobs::lazy(std::iter::repeat_with(push)))
    });
    let responses = server.call(1);
    let begun = || kept.lock().unwrap().len();
    until(|| begun() == 256);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(begun(), 256);
    kept.lock().unwrap().drain(..10);
    until(|| begun() == 256);
    drop(responses);
    assert!(server.streams.wait_until_none(TEST_TIMEOUT));
    kept.lock().unwrap().clear();
    until(|| server.streams.open() == 0);
}

/// A push job cannot be interrupted, so it does not start while it would only wait.
#[rstest]
fn push_jobs_start_only_with_room_in_the_channel(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = begun.clone();
    let streams = StreamsConfig {
        capacity: Capacity::messages(2),
        ..StreamsConfig::default()
    };
    let server = Harness::with(transport, WorkersConfig::default(), streams, move |_, _| {
        let begun = counter.clone();
        let push = move || {
            let begun = begun.clone();
            Job::push(move |sender: Sender| {
                begun.fetch_add(1, Ordering::SeqCst);
                let _ = sender.send(response("x".repeat(64 * 1024)));
                Ok(())
            })
        };
        Ok(Jobs::lazy(std::iter::repeat_with(push)))
    });
    let mut unread = server.call_with(1, CallOption::default(), Capacity::messages(1));
    until(|| has_stalled(&server));
    let held = settled(|| begun.load(Ordering::SeqCst));
    let sent = server.streams.snapshot().methods[0].messages as usize;
    // Two fill the channel and the writer holds one; a few may have seen the same free room.
    assert!(held - sent < 10, "{held} begun, {sent} sent");
    for _ in 0..held {
        unread.next().unwrap().unwrap();
    }
    until(|| begun.load(Ordering::SeqCst) > held);
    drop(unread);
    until(|| server.streams.open() == 0);
}

#[test]
fn a_push_job_starts_on_time_and_never_after_its_call() {
    let (release, gate) = bounded::<()>(0);
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = begun.clone();
    let server = Harness::start(Clear, move |id, _| {
        let begun = counter.clone();
        let push = move |sender: Sender| {
            begun.fetch_add(1, Ordering::SeqCst);
            send_counting(&sender, 1);
            Ok(())
        };
        Ok(match id {
            0 => Job::push_after(Duration::from_millis(20), push).into(),
            _ => vec![
                Job::now(counting("x", 1).chain(blocked(&gate))),
                Job::push_after(HOUR, push),
            ]
            .into(),
        })
    });
    assert_eq!(texts(server.call(0)), ["0"]);
    let mut cancelled = server.call(1);
    assert_eq!(cancelled.next().unwrap().unwrap().result, "x0");
    drop(cancelled);
    assert!(server.streams.wait_until_none(TEST_TIMEOUT));
    drop(release);
    until(|| server.streams.open() == 0);
    assert_eq!(begun.load(Ordering::SeqCst), 1);
}

/// As `std::sync::Weak`: it finds the job only while somebody else holds a sender.
#[rstest]
fn a_weak_sender_does_not_keep_its_job_open(
    #[values(false, true)] tolerant: bool,
    #[values(false, true)] ordered: bool,
) {
    let (give, given) = bounded(1);
    let server = Harness::start(Clear, move |_, _| {
        let give = give.clone();
        let push = Job::push(move |sender: Sender| {
            let weak = sender.downgrade();
            weak.upgrade().unwrap().send(response("first")).unwrap();
            give.send((weak.clone(), sender)).unwrap();
            Ok(())
        });
        let jobs = Jobs::from(push);
        let jobs = if ordered { jobs.ordered() } else { jobs };
        Ok(match tolerant {
            true => jobs.tolerate_failures(|_| {}),
            false => jobs,
        })
    });
    for cancelled in [false, true] {
        let mut responses = server.call(1);
        let (weak, sender) = given.recv_timeout(TEST_TIMEOUT).unwrap();
        assert_eq!(responses.next().unwrap().unwrap().result, "first");
        weak.upgrade().unwrap().send(response("second")).unwrap();
        assert_eq!(responses.next().unwrap().unwrap().result, "second");
        if cancelled {
            drop(responses);
            until(|| sender.is_closed());
            assert!(weak.upgrade().unwrap().is_closed());
            drop(sender);
        } else {
            drop(sender);
            assert!(responses.next().is_none());
        }
        assert!(weak.upgrade().is_none());
        until(|| server.streams.open() == 0);
    }
}
