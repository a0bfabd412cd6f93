//! The server: several services and listeners, checks, observers, health, reflection and generated
//! code.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fanstream::address::Address;
use fanstream::client::Header;
use fanstream::engine::{CallEnd, CallObserver, Job, Observer, WorkersConfig};
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::{create_stream_service, StreamService};
use fanstream::proto::DESCRIPTORS;
use fanstream::server::{Server, Service, StartError};
use fanstream::services::ServingStatus;
use fanstream::tutorial::FETCH_RESPONSE;
use fanstream::Status;
use futures::FutureExt;
use grpcio::{RpcContext, RpcStatusCode, ServerStreamingSink, WriteFlags};
use protobuf::Message;

use crate::common::process::eventually;
use crate::{
    builder, client, connect, count, echo, failed, local, request, response, status, texts, COUNT,
    ECHO, ENDLESS, FAIL, PANIC, SECOND, UNKNOWN,
};

#[test]
fn unary_and_streaming_methods_of_several_services() {
    let server = builder()
        .add_service(echo())
        .add_service(count())
        .start()
        .unwrap();
    let client = client(&server);
    assert_eq!(client.unary(&ECHO, request(7)).unwrap().result, "7");
    assert_eq!(texts(&client, 3), ["0", "1", "2"]);
    assert_eq!(texts(&client, 0), [""; 0]);
    let not_found = failed(client.unary(&FAIL, request(1)));
    assert_eq!(not_found, (RpcStatusCode::NOT_FOUND, "as asked".into()));
    assert_eq!(
        failed(client.unary(&PANIC, request(1))).0,
        RpcStatusCode::INTERNAL
    );
    assert_eq!(
        failed(client.unary(&UNKNOWN, request(1))).0,
        RpcStatusCode::UNIMPLEMENTED
    );
    // A unary method called as a stream has one response.
    let responses: Vec<_> = client.call(&ECHO, request(1)).collect();
    assert_eq!(responses.len(), 1);
}

#[test]
fn a_handler_returns_an_array_or_an_option_of_jobs() {
    let job = |delay: u64, text: &str| {
        let delay = Duration::from_millis(delay);
        Job::after(delay, [Ok(response(text))].into_iter())
    };
    let service = Service::new()
        .server_streaming(&COUNT, move |_, _: Request| {
            Ok([job(60, "second"), job(0, "first")])
        })
        .server_streaming(&ENDLESS, move |_, request: Request| {
            Ok((request.id > 0).then(|| job(0, "only")))
        });
    let server = builder().add_service(service).start().unwrap();
    let client = client(&server);
    assert_eq!(texts(&client, 0), ["first", "second"]);
    for (id, expected) in [(0, 0), (1, 1)] {
        let responses = client.call(&ENDLESS, request(id)).map(Result::unwrap);
        assert_eq!(responses.count(), expected);
    }
}

#[test]
fn a_duplicate_method_is_an_error() {
    let twice = builder()
        .add_service(echo())
        .add_service(echo())
        .start()
        .unwrap_err();
    assert!(matches!(twice, StartError::DuplicateMethod(name) if name == ECHO.name));
    assert_eq!(
        twice.to_string(),
        "the method /test.Echo/Echo is served twice"
    );
}

#[test]
fn a_server_needs_an_address() {
    let error = Server::builder().add_service(echo()).start().unwrap_err();
    assert!(matches!(error, StartError::NoAddress));
}

#[test]
fn a_text_is_an_address_if_it_has_a_port() {
    let listen = |text: &str| Server::builder().listen(text).add_service(echo()).start();
    let server = listen("127.0.0.1:0").unwrap();
    assert_ne!(server.address().port(), Some(0));
    let answer = connect(server.address()).unary(&ECHO, request(5)).unwrap();
    assert_eq!(answer.result, "5");
    let error = listen("127.0.0.1").unwrap_err();
    assert!(matches!(error, StartError::Address(_)));
    assert!(
        error.to_string().contains("`127.0.0.1` has no port"),
        "{error}"
    );
    let server = builder().metrics(String::from("nowhere")).start();
    assert!(matches!(server.unwrap_err(), StartError::Address(_)));
}

#[test]
fn several_listeners() {
    let directory = tempfile::tempdir().unwrap();
    let socket = Address::Unix(directory.path().join("socket"));
    let server = builder()
        .listen(socket.clone())
        .listen(local())
        .add_service(echo())
        .start()
        .unwrap();
    let bound: Vec<_> = server.bound().iter().map(|b| b.address.clone()).collect();
    assert_eq!(bound[1], socket);
    assert_ne!(bound[0], bound[2]);
    for address in &bound {
        assert_eq!(
            connect(address).unary(&ECHO, request(5)).unwrap().result,
            "5"
        );
    }
}

#[test]
fn blocking_handlers_block_no_other_call() {
    let server = builder()
        .workers(WorkersConfig {
            max_threads: 64,
            ..WorkersConfig::default()
        })
        .add_service(Service::new().unary(&ECHO, |_, request: Request| {
            thread::sleep(Duration::from_millis(300));
            Ok(response(request.id))
        }))
        .start()
        .unwrap();
    let client = client(&server);
    let began = Instant::now();
    thread::scope(|scope| {
        for id in 0..32 {
            let client = &client;
            scope.spawn(move || client.unary(&ECHO, request(id)).unwrap());
        }
    });
    // In sequence they would take 9.6 s.
    assert!(began.elapsed() < 4 * SECOND, "{:?}", began.elapsed());
}

#[test]
fn a_check_runs_for_every_call_and_can_refuse_it() {
    let checked = Arc::new(AtomicUsize::new(0));
    let seen = checked.clone();
    let server = builder()
        .add_service(echo())
        .add_service(count())
        .check(move |ctx| {
            seen.fetch_add(1, Ordering::Relaxed);
            let named = |name| ctx.request_headers().iter().any(|(key, _)| key == name);
            match (named("x-admit"), named("x-panic"), named("x-ok")) {
                (true, ..) => Ok(()),
                (_, true, _) => panic!("as asked"),
                (_, _, true) => Err(Status::new(RpcStatusCode::OK, "")),
                _ => Err(status(RpcStatusCode::PERMISSION_DENIED, "not you")),
            }
        })
        .start()
        .unwrap();
    let client = client(&server);
    let with = |header: &str| {
        let mut settings = client.call_settings();
        settings.headers.push(Header::new(header, "1").unwrap());
        let outcome = client.unary_with(&ECHO, request(1), settings);
        outcome.map(|response| response.message.result)
    };
    assert_eq!(with("x-admit").unwrap(), "1");
    let refused = failed(with("x-other"));
    assert_eq!(
        refused,
        (RpcStatusCode::PERMISSION_DENIED, "not you".into())
    );
    assert_eq!(failed(with("x-panic")).0, RpcStatusCode::INTERNAL);
    assert_eq!(failed(with("x-ok")).0, RpcStatusCode::INTERNAL);
    let mut stream = client.call(&COUNT, request(1));
    assert_eq!(
        failed(stream.next().unwrap()).0,
        RpcStatusCode::PERMISSION_DENIED
    );
    assert_eq!(checked.load(Ordering::Relaxed), 5);
    let refused = server.streams().snapshot().refused;
    assert!(
        refused
            .iter()
            .any(|&(why, count)| (why, count) == ("check", 4)),
        "{refused:?}"
    );
}

#[test]
fn health_and_reflection_know_the_services() {
    let server = builder()
        .add_service(echo())
        .add_service(fanstream::tutorial::service(Default::default()))
        .descriptors(DESCRIPTORS)
        .start()
        .unwrap();
    let client = client(&server);
    for service in ["", "test.Echo", "protobuf.StreamService"] {
        assert_eq!(client.health(service).unwrap(), ServingStatus::SERVING);
    }
    server.health().set("test.Echo", ServingStatus::NOT_SERVING);
    let now = client.health("test.Echo").unwrap();
    assert_eq!(now, ServingStatus::NOT_SERVING);
    // `test.Echo` has no descriptor, so reflection does not list it.
    let protos = client.protos().unwrap();
    let listed = protos.services();
    assert!(listed.contains(&"protobuf.StreamService".to_string()));
    assert!(listed.contains(&"grpc.health.v1.Health".to_string()));
    assert!(!listed.contains(&"test.Echo".to_string()));
}

/// An implementation of grpcio's generated trait that answers on the poll thread.
#[derive(Clone)]
pub(crate) struct Generated;

impl StreamService for Generated {
    fn fetch_response(
        &mut self,
        ctx: RpcContext<'_>,
        request: Request,
        mut sink: ServerStreamingSink<Response>,
    ) {
        ctx.spawn(
            async move {
                use futures::SinkExt;
                let _ = sink
                    .send((response(request.id), WriteFlags::default()))
                    .await;
                let _ = sink.close().await;
            }
            .map(drop),
        );
    }
}

#[test]
fn generated_services_are_served_beside_others() {
    let server = builder()
        .add_service(Service::generated("protobuf.StreamService", |_| {
            create_stream_service(Generated)
        }))
        .add_service(echo())
        .max_request_bytes(64)
        .start()
        .unwrap();
    let client = client(&server);
    let responses: Vec<_> = client.call(&FETCH_RESPONSE, request(9)).collect();
    assert_eq!(responses[0].as_ref().unwrap().result, "9");
    assert_eq!(client.unary(&ECHO, request(2)).unwrap().result, "2");
    let health = client.health("protobuf.StreamService").unwrap();
    assert_eq!(health, ServingStatus::SERVING);
    // The size limit of requests applies to both.
    let mut large = request(1);
    large
        .mut_unknown_fields()
        .add_length_delimited(9, vec![0; 1000]);
    let mut stream = client.call(&FETCH_RESPONSE, large.clone());
    let exhausted = RpcStatusCode::RESOURCE_EXHAUSTED;
    assert_eq!(failed(stream.next().unwrap()).0, exhausted);
    assert_eq!(failed(client.unary(&ECHO, large)).0, exhausted);
}

/// Records the codes of ended calls.
#[derive(Clone, Default)]
struct Codes(Arc<Mutex<Vec<RpcStatusCode>>>);

impl Observer for Codes {
    fn arrived(&self, _: &RpcContext<'_>) -> Box<dyn CallObserver> {
        Box::new(self.clone())
    }
}

impl CallObserver for Codes {
    fn ended(self: Box<Self>, end: &CallEnd) {
        self.0.lock().unwrap().push(end.code);
    }
}

/// An observer that panics.
struct Panics;

impl Observer for Panics {
    fn arrived(&self, _: &RpcContext<'_>) -> Box<dyn CallObserver> {
        panic!("as it should")
    }
}

#[test]
fn observers_see_every_call() {
    let codes = Codes::default();
    let server = builder()
        .add_service(echo())
        .observer(Arc::new(Panics))
        .observer(Arc::new(codes.clone()))
        .start()
        .unwrap();
    let client = client(&server);
    client.unary(&ECHO, request(1)).unwrap();
    client.unary(&FAIL, request(1)).unwrap_err();
    let expected = [RpcStatusCode::OK, RpcStatusCode::NOT_FOUND];
    eventually(|| (*codes.0.lock().unwrap() == expected).then_some(()));
}

#[test]
fn a_shutdown_waits_for_unary_calls() {
    let server = builder()
        .add_service(Service::new().unary(&ECHO, |_, request: Request| {
            thread::sleep(SECOND / 2);
            Ok(response(request.id))
        }))
        .start()
        .unwrap();
    let client = client(&server);
    let streams = server.streams().clone();
    let call = thread::spawn(move || client.unary(&ECHO, request(3)));
    eventually(|| (streams.open() == 1).then_some(()));
    let drained = server.shutdown(10 * SECOND);
    assert!(drained.clean && drained.aborted == 0, "{drained:?}");
    assert_eq!(call.join().unwrap().unwrap().result, "3");
}
