//! Extensions of a user: what they add, when they are told what, and what their failures do.

use std::sync::{Arc, Mutex};
use std::thread;

use crossbeam_channel::{bounded, unbounded, Receiver, Sender};
use fanstream::client::Client;
use fanstream::proto::stream::Request;
use fanstream::server::{BoxError, Extension, Server, Service, Setup, StartError, Started};
use fanstream::services::ServingStatus;
use grpcio::RpcStatusCode;

use crate::common::process::{eventually, TEST_TIMEOUT};
use crate::{builder, client, connect, count, echo, failed, request, response, status};
use crate::{COUNT, ECHO, SECOND};

/// Sends the name and the step of each call.
struct Recorder {
    name: &'static str,
    told: Sender<String>,
}

impl Recorder {
    fn tell(&self, step: &str) {
        self.told.send(format!("{} {step}", self.name)).unwrap();
    }
}

impl Extension for Recorder {
    fn configure(&mut self, _: &mut Setup) -> Result<(), BoxError> {
        self.tell("configure");
        Ok(())
    }

    fn started(&self, _: &Started) {
        self.tell("started");
    }

    fn reload(&self) {
        self.tell("reload");
    }

    fn draining(&self) {
        self.tell("draining");
    }

    fn stopped(&self) {
        self.tell("stopped");
    }
}

fn recorder(name: &'static str, told: &Sender<String>) -> Recorder {
    let told = told.clone();
    Recorder { name, told }
}

/// What has been told so far.
fn all(told: &Receiver<String>) -> Vec<String> {
    told.try_iter().collect()
}

#[test]
fn extensions_are_told_in_order_and_at_the_end_in_reverse_order() {
    let (tell, told) = unbounded();
    let server = builder()
        .extension(recorder("a", &tell))
        .extension(recorder("b", &tell))
        .start()
        .unwrap();
    let start = ["a configure", "b configure", "a started", "b started"];
    assert_eq!(all(&told), start);
    server.reload();
    assert_eq!(all(&told), ["a reload", "b reload"]);
    server.shutdown(SECOND);
    let end = ["b draining", "a draining", "b stopped", "a stopped"];
    assert_eq!(all(&told), end);
}

#[test]
fn a_server_that_is_dropped_drops_its_extensions() {
    let (tell, told) = unbounded();
    let server = builder().extension(recorder("a", &tell)).start().unwrap();
    drop((server, tell));
    let told: Vec<_> = std::iter::from_fn(|| told.recv_timeout(TEST_TIMEOUT).ok()).collect();
    assert_eq!(told, ["a configure", "a started"]);
}

/// Calls its own server when it starts, drains and has stopped.
#[derive(Default)]
struct Caller {
    client: Mutex<Option<Client>>,
    outcomes: Arc<Mutex<Vec<bool>>>,
}

impl Caller {
    fn call(&self) {
        let client = self.client.lock().unwrap();
        let outcome = client.as_ref().unwrap().unary(&ECHO, request(1));
        self.outcomes.lock().unwrap().push(outcome.is_ok());
    }
}

impl Extension for Caller {
    fn started(&self, server: &Started) {
        *self.client.lock().unwrap() = Some(connect(&server.bound()[0].address));
        self.call();
    }

    fn draining(&self) {
        self.call();
    }

    fn stopped(&self) {
        self.call();
    }
}

#[test]
fn calls_are_accepted_from_the_start_until_all_extensions_have_drained() {
    let caller = Caller::default();
    let outcomes = caller.outcomes.clone();
    let server = builder()
        .add_service(echo())
        .extension(caller)
        .start()
        .unwrap();
    server.shutdown(SECOND);
    assert_eq!(*outcomes.lock().unwrap(), [true, true, false]);
}

/// Serves a service, refuses the calls of another method, and knows all services.
#[derive(Default)]
struct Own {
    at_configuration: Vec<&'static str>,
    at_start: Mutex<Vec<&'static str>>,
}

impl Extension for Own {
    fn configure(&mut self, setup: &mut Setup) -> Result<(), BoxError> {
        let streams = setup.streams().clone();
        let open = Service::new().server_streaming(&COUNT, move |_, _: Request| {
            Ok([Ok(response(streams.open()))].into_iter())
        });
        setup.add_service(open);
        setup.check("own", |call| match call.method() == ECHO.name.as_bytes() {
            true => Err(status(RpcStatusCode::PERMISSION_DENIED, "not now")),
            false => Ok(()),
        });
        self.at_configuration = setup.service_names();
        Ok(())
    }

    fn started(&self, server: &Started) {
        *self.at_start.lock().unwrap() = server.services().to_vec();
    }
}

#[test]
fn an_extension_adds_services_and_checks() {
    let server = builder()
        .add_service(echo())
        .extension(Own::default())
        .start()
        .unwrap();
    let client = client(&server);
    let refused = failed(client.unary(&ECHO, request(1)));
    assert_eq!(
        refused,
        (RpcStatusCode::PERMISSION_DENIED, "not now".into())
    );
    assert!(server.streams().snapshot().refused.contains(&("own", 1)));
    let open = client.call(&COUNT, request(1)).next().unwrap().unwrap();
    assert_eq!(open.result, "1");
    // The built-in ones know it.
    assert_eq!(client.health("test.Count").unwrap(), ServingStatus::SERVING);

    let own = server.extension::<Own>().unwrap();
    assert_eq!(own.at_configuration, ["test.Count", "test.Echo"]);
    let at_start = own.at_start.lock().unwrap();
    for name in ["test.Count", "test.Echo", "grpc.health.v1.Health"] {
        assert!(at_start.contains(&name), "{at_start:?}");
    }
    assert!(server.extension::<Caller>().is_none());
}

/// Runs a function as `configure`.
struct Configure<F>(F);

impl<F> Extension for Configure<F>
where
    F: Fn(&mut Setup) -> Result<(), BoxError> + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        "test"
    }

    fn configure(&mut self, setup: &mut Setup) -> Result<(), BoxError> {
        (self.0)(setup)
    }
}

fn start_with(
    configure: impl Fn(&mut Setup) -> Result<(), BoxError> + Send + Sync + 'static,
) -> Result<Server, StartError> {
    let server = builder().add_service(echo()).add_service(count());
    server.extension(Configure(configure)).start()
}

#[test]
fn an_extension_can_end_the_start() {
    let error = start_with(|_| Err("there is no printer".into())).unwrap_err();
    assert_eq!(error.to_string(), "test: there is no printer");
    let StartError::Extension { name, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(name, "test");
    let error = start_with(|_| Ok(std::fs::remove_file("/no/such/file")?)).unwrap_err();
    assert!(error.to_string().starts_with("test: No such file"));
    let error = start_with(|_| panic!("as it should")).unwrap_err();
    assert_eq!(error.to_string(), "test: it panicked");
    let twice = start_with(|setup| {
        setup.add_service(echo());
        Ok(())
    });
    assert!(matches!(twice.unwrap_err(), StartError::DuplicateMethod(_)));
}

#[test]
fn an_extension_sets_channel_arguments() {
    let largest = c"grpc.max_receive_message_length";
    let server = start_with(|setup| {
        setup.channel_argument(largest, 1);
        Ok(())
    });
    let outcome = client(&server.unwrap()).unary(&ECHO, request(1));
    assert_eq!(failed(outcome).0, RpcStatusCode::RESOURCE_EXHAUSTED);
}

/// Panics in every call but `configure`.
struct Panics;

impl Extension for Panics {
    fn started(&self, _: &Started) {
        panic!("as it should")
    }

    fn reload(&self) {
        panic!("as it should")
    }

    fn draining(&self) {
        panic!("as it should")
    }

    fn stopped(&self) {
        panic!("as it should")
    }
}

#[test]
fn a_panic_affects_nothing_else() {
    let (tell, told) = unbounded();
    let server = builder()
        .add_service(echo())
        .extension(recorder("a", &tell))
        .extension(Panics)
        .extension(recorder("b", &tell))
        .start()
        .unwrap();
    server.reload();
    assert_eq!(
        client(&server).unary(&ECHO, request(5)).unwrap().result,
        "5"
    );
    assert!(server.shutdown(SECOND).clean);
    let told = all(&told);
    for step in ["started", "reload", "draining", "stopped"] {
        for name in ["a", "b"] {
            assert!(told.contains(&format!("{name} {step}")), "{told:?}");
        }
    }
}

/// Never returns from `draining` before its receiver is disconnected.
struct Stuck(Receiver<()>);

impl Extension for Stuck {
    fn draining(&self) {
        let _ = self.0.recv();
    }
}

#[test]
fn an_extension_that_does_not_return_delays_a_shutdown_only_briefly() {
    let (tell, told) = unbounded();
    let (_release, gate) = bounded::<()>(0);
    let server = builder()
        .extension(recorder("a", &tell))
        .extension(Stuck(gate))
        .start()
        .unwrap();
    let stopping = thread::spawn(move || server.shutdown(SECOND));
    eventually(|| stopping.is_finished().then_some(()));
    assert!(stopping.join().unwrap().clean);
    let told: Vec<_> = eventually(|| (told.len() == 4).then(|| all(&told)));
    assert_eq!(told[2..], ["a draining", "a stopped"]);
}
