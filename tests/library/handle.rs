//! A server is shut down by a handle, from another thread or from a handler.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use fanstream::engine::Job;
use fanstream::proto::stream::Request;
use fanstream::server::{Drained, Server, ServerHandle, Service};
use grpcio::RpcStatusCode;

use crate::{builder, client, echo, failed, request, response, ECHO, ENDLESS, SECOND};

const CLEAN: (usize, bool) = (0, true);

fn outcome(drained: Drained) -> (usize, bool) {
    (drained.aborted, drained.clean)
}

/// A server whose stream has one response and then an hour of silence.
fn silent() -> Server {
    let service = Service::new().server_streaming(&ENDLESS, |_, _: Request| {
        let later = Job::after(3600 * SECOND, [Ok(response("late"))].into_iter());
        Ok([Job::now([Ok(response("now"))].into_iter()), later])
    });
    builder().add_service(service).start().unwrap()
}

#[test]
fn another_thread_shuts_a_server_down() {
    let server = builder().add_service(echo()).start().unwrap();
    let handle = server.handle();
    let stopping = thread::spawn(move || handle.shutdown(30 * SECOND));
    assert_eq!(outcome(server.wait()), CLEAN);
    stopping.join().unwrap();
    // It stays so, and no second shutdown changes it.
    server.handle().shutdown(Duration::ZERO);
    assert_eq!(outcome(server.wait()), CLEAN);
    assert_eq!(outcome(server.shutdown(Duration::ZERO)), CLEAN);
}

/// The shutdown waits for the call that has asked for it.
#[test]
fn a_handler_shuts_its_server_down() {
    let handle = Arc::new(OnceLock::<ServerHandle>::new());
    let of_handler = handle.clone();
    let service = Service::new().unary(&ECHO, move |_, _| {
        of_handler.wait().shutdown(30 * SECOND);
        Ok(response("bye"))
    });
    let server = builder().add_service(service).start().unwrap();
    handle.set(server.handle()).unwrap();
    assert_eq!(
        client(&server).unary(&ECHO, request(1)).unwrap().result,
        "bye"
    );
    assert_eq!(outcome(server.wait()), CLEAN);
}

#[test]
fn a_further_shutdown_shortens_the_grace_period() {
    let server = silent();
    let mut stream = client(&server).call(&ENDLESS, request(1));
    assert!(stream.next().unwrap().is_ok());
    let handle = server.handle();
    handle.shutdown(3600 * SECOND);
    handle.clone().shutdown(Duration::ZERO);
    let (code, _) = failed(stream.next().unwrap());
    assert_eq!(code, RpcStatusCode::UNAVAILABLE);
    assert_eq!(server.wait().aborted, 1);
}

#[test]
fn a_handle_does_not_keep_a_server_running() {
    let server = silent();
    let client = client(&server);
    let mut stream = client.call(&ENDLESS, request(1));
    assert!(stream.next().unwrap().is_ok());
    let handle = server.handle();
    drop(server);
    assert!(stream.next().unwrap().is_err());
    handle.shutdown(SECOND);
}
