//! Tolerated failures: a producer fails and its call continues.

use std::sync::{Arc, Mutex};
use std::thread;

use crossbeam_channel::{bounded, unbounded};
use fanstream::engine::{Job, Jobs, StreamSender};
use fanstream::proto::stream::Response;
use fanstream::Status;
use grpcio::RpcStatusCode;
use rstest::rstest;

use crate::common::harness::{
    counting, failing, failure, response, texts, until, Harness, TEST_TIMEOUT,
};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};

fn lost(what: &str) -> Status {
    Status::data_loss(what)
}

#[rstest]
fn a_tolerated_failure_ends_only_its_producer(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[values(false, true)] ordered: bool,
) {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let seen = failures.clone();
    let server = Harness::start(transport, move |_, _| {
        let seen = seen.clone();
        let fails = counting("a", 2).chain([failing(RpcStatusCode::ABORTED, "a fails")]);
        let jobs = Jobs::from(vec![
            Job::now(fails.chain(counting("never", 1))),
            Job::now(counting("b", 3)),
            Job::push(|sender| {
                sender.send(response("c0")).unwrap();
                Err(lost("c fails"))
            }),
            Job::push(|sender| {
                sender.send(response("d0")).unwrap();
                sender.fail(lost("d fails"));
                assert!(sender.is_closed() && sender.send(response("never")).is_err());
                assert!(sender.try_send(response("never")).is_err());
                Err(lost("after it has failed"))
            }),
            Job::now(counting("e", 1)),
        ]);
        let jobs = if ordered { jobs.ordered() } else { jobs };
        Ok(jobs.tolerate_failures(move |status| {
            seen.lock().unwrap().push(status.message().to_string());
        }))
    });
    let mut received = texts(server.call(1));
    if !ordered {
        received.sort();
    }
    let expected = ["a0", "a1", "b0", "b1", "b2", "c0", "d0", "e0"];
    assert_eq!(received, expected);
    let mut failures = failures.lock().unwrap().clone();
    failures.sort();
    assert_eq!(failures, ["a fails", "c fails", "d fails"]);
}

#[rstest]
fn a_panic_is_not_tolerated(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = Harness::start(transport, |id, _| {
        let panics = counting("a", 1).inspect(|_| panic!("while it makes"));
        let fails = [failing(RpcStatusCode::ABORTED, "")].into_iter();
        let jobs = match id {
            0 => Jobs::from(Job::now(panics)),
            1 => Jobs::from(Job::push(|_| panic!("while it pushes"))),
            _ => Jobs::from(Job::now(fails)),
        };
        Ok(jobs.tolerate_failures(|_| panic!("while it is told")))
    });
    for id in 0..3 {
        let (_, status) = failure(&mut server.call(id));
        assert_eq!(status.code(), RpcStatusCode::INTERNAL, "{id}");
    }
    until(|| server.streams.open() == 0);
}

/// The test drops the last sender, and the test's thread must not run the call's user code.
#[test]
fn the_function_is_dropped_on_a_worker() {
    struct TellsItsThread(crossbeam_channel::Sender<Option<String>>);
    impl Drop for TellsItsThread {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().name().map(str::to_string));
        }
    }
    let (tell, told) = unbounded();
    let (give, given) = bounded::<StreamSender<Response>>(1);
    let server = Harness::start(Clear, move |_, _| {
        let (tells, give) = (TellsItsThread(tell.clone()), give.clone());
        let push = Job::push(move |sender| {
            give.send(sender).unwrap();
            Ok(())
        });
        Ok(Jobs::from(push).tolerate_failures(move |_| {
            let _ = &tells;
        }))
    });
    let call = server.call(1);
    let sender = given.recv_timeout(TEST_TIMEOUT).unwrap();
    sender.fail(lost("tolerated"));
    drop(sender);
    assert!(texts(call).is_empty());
    let name = told.recv_timeout(TEST_TIMEOUT).unwrap();
    assert_eq!(name.as_deref(), Some("fanstream-work"));
}
