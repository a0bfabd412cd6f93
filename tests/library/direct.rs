//! Services whose calls begin on the poll thread.

use std::sync::{Arc, Mutex};
use std::thread;

use fanstream::engine::Job;
use fanstream::proto::stream::{Request, Response};
use fanstream::server::Service;
use grpcio::{Method, MethodType, RpcStatusCode};

use crate::{
    builder, client, count, echo, failed, request, response, texts, COUNT, ECHO, FAIL, PANIC,
};

const PUSH: Method<Request, Response> =
    fanstream::engine::codec::method(MethodType::ServerStreaming, "/test.Count/Push");

#[test]
fn calls_end_as_on_workers() {
    let server = builder()
        .add_service(echo().direct())
        .add_service(count().direct());
    let server = server.start().unwrap();
    let client = client(&server);
    assert_eq!(client.unary(&ECHO, request(7)).unwrap().result, "7");
    let statuses = [&FAIL, &PANIC].map(|method| failed(client.unary(method, request(1))).0);
    assert_eq!(
        statuses,
        [RpcStatusCode::NOT_FOUND, RpcStatusCode::INTERNAL]
    );
    assert_eq!(texts(&client, 0), [""; 0]);
    // More than a channel holds: workers continue.
    let expected: Vec<_> = (0..10_000).map(|n: i32| n.to_string()).collect();
    assert_eq!(texts(&client, 10_000), expected);
}

type Names = Arc<Mutex<Vec<String>>>;

fn note(names: &Names) {
    let name = thread::current().name().unwrap_or_default().to_string();
    names.lock().unwrap().push(name);
}

fn noting(names: &Names) -> Service {
    let (of_count, of_push) = (names.clone(), names.clone());
    Service::new()
        .server_streaming(&COUNT, move |_, request: Request| {
            let names = of_count.clone();
            note(&names);
            Ok((0..request.id).map(move |n| {
                note(&names);
                Ok(response(n))
            }))
        })
        .server_streaming(&PUSH, move |_, _: Request| {
            let names = of_push.clone();
            Ok(Job::push(move |sender| {
                note(&names);
                let _ = sender.send(response("pushed"));
                Ok(())
            }))
        })
}

/// The threads on which handlers and producers ran, in order.
fn threads(
    service: fn(&Names) -> Service,
    call: impl FnOnce(&fanstream::client::Client),
) -> Vec<String> {
    let names = Names::default();
    let server = builder().add_service(service(&names)).start().unwrap();
    call(&client(&server));
    let names = names.lock().unwrap();
    names.clone()
}

fn is_worker(name: &str) -> bool {
    name.starts_with("fanstream-work")
}

#[test]
fn short_calls_need_no_worker() {
    let direct = threads(
        |names| noting(names).direct(),
        |client| {
            assert_eq!(texts(client, 5).len(), 5);
        },
    );
    assert!(
        direct.len() == 6 && !direct.iter().any(|name| is_worker(name)),
        "{direct:?}"
    );
    let others = threads(noting, |client| {
        assert_eq!(texts(client, 5).len(), 5);
    });
    assert!(
        others.len() == 6 && others.iter().all(|name| is_worker(name)),
        "{others:?}"
    );
}

#[test]
fn workers_run_the_rest_of_a_long_call() {
    let names = threads(
        |names| noting(names).direct(),
        |client| {
            assert_eq!(texts(client, 1_000).len(), 1_000);
        },
    );
    assert!(!is_worker(&names[0]) && !is_worker(&names[1]), "{names:?}");
    assert!(
        names.last().is_some_and(|name| is_worker(name)),
        "{names:?}"
    );
}

#[test]
fn workers_run_push_jobs() {
    let names = threads(
        |names| noting(names).direct(),
        |client| {
            assert_eq!(client.call(&PUSH, request(1)).count(), 1);
        },
    );
    assert!(names.len() == 1 && is_worker(&names[0]), "{names:?}");
}
