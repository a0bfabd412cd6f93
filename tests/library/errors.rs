//! Errors of what a handler calls: they become the status of its own call.

use std::fs;

use fanstream::engine::{Job, StreamSender};
use fanstream::proto::stream::{Request, Response};
use fanstream::server::Service;
use fanstream::Status;
use grpcio::RpcStatusCode;

use crate::common::process::eventually;
use crate::{builder, client, echo, request, response, COUNT, ECHO, FAIL};

/// A server whose stream has two messages and a failure with details.
fn broken_off() -> Service {
    Service::new().server_streaming(&COUNT, |_, _: Request| {
        let lost = Status::data_loss("gone").with_details([1, 2]);
        Ok((0..2).map(|n| Ok(response(n))).chain([Err(lost)]))
    })
}

#[test]
fn a_proxy_passes_on_messages_and_statuses() {
    let upstream = builder()
        .add_service(broken_off())
        .add_service(echo())
        .start()
        .unwrap();
    let (of_stream, of_unary, of_failure) =
        (client(&upstream), client(&upstream), client(&upstream));
    let proxy = Service::new()
        .server_streaming(&COUNT, move |_, request| {
            Ok(of_stream
                .call(&COUNT, request)
                .map(|response| response.map_err(Into::into)))
        })
        .unary(&ECHO, move |_, request| Ok(of_unary.unary(&ECHO, request)?))
        .unary(&FAIL, move |_, request| {
            Ok(of_failure.unary(&FAIL, request)?)
        });
    let server = builder().add_service(proxy).start().unwrap();
    let client = client(&server);

    let mut stream = client.call(&COUNT, request(1));
    let texts = [(); 2].map(|()| stream.next().unwrap().unwrap().result);
    assert_eq!(texts, ["0", "1"]);
    let error = stream.next().unwrap().unwrap_err();
    let status = error.status().unwrap();
    assert_eq!(status.code(), RpcStatusCode::DATA_LOSS);
    assert_eq!((status.message(), status.details()), ("gone", &[1, 2][..]));

    assert_eq!(client.unary(&ECHO, request(7)).unwrap().result, "7");
    let error = client.unary(&FAIL, request(7)).unwrap_err();
    assert_eq!(error.to_string(), "NOT_FOUND: as asked");
}

#[test]
fn an_error_of_io_is_the_status_of_its_call() {
    const MISSING: &str = "/no/such/file";
    let service = Service::new()
        .unary(&ECHO, |_, _| Ok(response(fs::read_to_string(MISSING)?)))
        .server_streaming(&COUNT, |_, _: Request| {
            Ok((0..2).map(|n| {
                let text = fs::read_to_string(["/dev/null", MISSING][n])?;
                Ok(response(text))
            }))
        });
    let server = builder().add_service(service).start().unwrap();
    let client = client(&server);
    let mut stream = client.call(&COUNT, request(1));
    assert!(stream.next().unwrap().is_ok());
    let of_stream = stream.next().unwrap().unwrap_err();
    let of_unary = client.unary(&ECHO, request(1)).unwrap_err();
    for error in [of_stream, of_unary] {
        assert_eq!(error.code(), RpcStatusCode::NOT_FOUND);
        assert!(!error.to_string().contains(MISSING), "{error}");
    }
}

#[test]
fn a_failed_send_ends_a_push_job() {
    let service = Service::new().server_streaming(&COUNT, |_, _: Request| {
        Ok(Job::push(|sender: StreamSender<Response>| loop {
            sender.send(response("again"))?;
        }))
    });
    let server = builder().add_service(service).start().unwrap();
    let mut stream = client(&server).call(&COUNT, request(1));
    assert_eq!(stream.next().unwrap().unwrap().result, "again");
    drop(stream);
    // A stream counts as open until its producer has returned.
    eventually(|| (server.streams().open() == 0).then_some(()));
}
