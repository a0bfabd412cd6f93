//! Statuses from handler to caller: codes, texts, details, and the headers and trailers that travel
//! with them.

use fanstream::client::{Client, UnaryResponse};
use fanstream::engine::{CallContext, CallStatus, ReceiveError, StatusOrigin};
use fanstream::proto::stream::{Request, Response};
use fanstream::server::{Server, Service};
use fanstream::Status;
use grpcio::{ChannelBuilder, Environment, Metadata, MetadataBuilder, RpcStatusCode};
use rstest::rstest;

use super::{builder, client, local, request, response, status, COUNT, ECHO};

fn metadata(entries: &[(&str, &str)]) -> Metadata {
    let mut builder = MetadataBuilder::new();
    for (name, value) in entries {
        match name.ends_with("-bin") {
            true => builder.add_bytes(name, value.as_bytes()).unwrap(),
            false => builder.add_str(name, value).unwrap(),
        };
    }
    builder.build()
}

#[track_caller]
fn assert_has(metadata: &Metadata, name: &str, value: &str) {
    let found: Vec<_> = metadata
        .iter()
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect();
    assert_eq!(found, [value], "{name}");
}

/// A server whose calls fail with this status after `id` messages; OK for no status.
fn ends_with(end: Option<Status>) -> Server {
    let of_unary = end.clone();
    let service = Service::new()
        .server_streaming(&COUNT, move |call, request: Request| {
            describe(call);
            let failure = end.clone().map(Err);
            Ok((0..request.id).map(|n| Ok(response(n))).chain(failure))
        })
        .unary(&ECHO, move |call, request: Request| {
            describe(call);
            match &of_unary {
                None => Ok(response(request.id)),
                Some(status) => Err(status.clone()),
            }
        });
    builder().add_service(service).start().unwrap()
}

fn describe(call: &CallContext) {
    assert!(call.set_response_headers(metadata(&[("x-head", "1"), ("x-head-bin", "\0ÿ")])));
    // Those of gRPC are left out.
    let trailers = metadata(&[("x-tail", "2"), ("x-tail-bin", "\0þ"), ("grpc-status", "0")]);
    assert!(call.set_response_trailers(trailers.clone()));
    assert!(!call.set_response_trailers(trailers), "once");
}

/// The responses, and the end with the headers.
fn stream(client: &Client, id: i32) -> (usize, Option<CallStatus>, Option<Metadata>) {
    let mut stream = client.call(&COUNT, request(id));
    let mut messages = 0;
    let mut failure = None;
    for next in &mut stream {
        match next {
            Ok(_) => messages += 1,
            Err(ReceiveError::Status(status)) => failure = Some(status),
            Err(other) => panic!("{other}"),
        }
    }
    let end = stream.status().cloned();
    assert_eq!(
        failure.is_some(),
        end.as_ref().unwrap().code() != RpcStatusCode::OK
    );
    (messages, end, stream.headers().cloned())
}

#[rstest]
fn headers_and_trailers_of_a_stream(#[values(0, 1, 300)] id: i32) {
    for end in [
        None,
        Some(status(RpcStatusCode::NOT_FOUND, "no such thing")),
    ] {
        let code = end.as_ref().map_or(RpcStatusCode::OK, Status::code);
        let server = ends_with(end);
        let (messages, end, headers) = stream(&client(&server), id);
        assert_eq!(messages, id as usize);
        let end = end.unwrap();
        assert_eq!(end.code(), code);
        assert_has(end.trailers(), "x-tail", "2");
        assert_has(end.trailers(), "x-tail-bin", "\0þ");
        let headers = headers.unwrap();
        assert_has(&headers, "x-head", "1");
        assert_has(&headers, "x-head-bin", "\0ÿ");
    }
}

#[test]
fn headers_and_trailers_of_a_unary_call() {
    let server = ends_with(None);
    let client_of = client(&server);
    let UnaryResponse {
        headers, trailers, ..
    } = client_of
        .unary_with(&ECHO, request(1), client_of.call_settings())
        .unwrap();
    assert_has(&headers, "x-head", "1");
    assert_has(&trailers, "x-tail", "2");

    let server = ends_with(Some(Status::not_found("why").with_details([0, 255])));
    let ReceiveError::Status(end) = client(&server).unary(&ECHO, request(1)).unwrap_err() else {
        panic!("no status");
    };
    assert_eq!((end.message(), end.details()), ("why", &[0, 255][..]));
    assert_eq!(end.origin(), StatusOrigin::Server);
    assert_has(end.headers(), "x-head", "1");
    assert_has(end.trailers(), "x-tail", "2");
}

/// Trailers cost a call nothing that has none, and a client of generated code sees none.
#[test]
fn a_client_that_does_not_ask_gets_a_plain_status() {
    let server = ends_with(Some(Status::not_found("why").with_details([7])));
    let builder = ChannelBuilder::new(std::sync::Arc::new(Environment::new(1)));
    let core = grpcio::Client::new(builder.connect(&server.bound()[0].address.to_string()));
    let failed = core.unary_call(&ECHO, &request(1), grpcio::CallOption::default());
    let Err(grpcio::Error::RpcFailure(end)) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(
        (end.code(), end.details()),
        (RpcStatusCode::NOT_FOUND, &[7][..])
    );
}

/// Without the cut, the C-core of a client drops a status over 8 KiB at random and makes it
/// RESOURCE_EXHAUSTED.
#[rstest]
#[case::ascii("a".repeat(20_000))]
#[case::percent_encoded("ä".repeat(5_000))]
fn a_long_text_reaches_every_client(#[case] text: String) {
    let server = ends_with(Some(status(RpcStatusCode::INTERNAL, &text)));
    let ours = client(&server);
    for _ in 0..20 {
        let (_, end, _) = stream(&ours, 0);
        let end = end.unwrap();
        assert_eq!(end.code(), RpcStatusCode::INTERNAL);
        let kept = end.message().strip_suffix("...").unwrap();
        assert!(kept.len() > 500 && text.starts_with(kept));
    }
    let builder = ChannelBuilder::new(std::sync::Arc::new(Environment::new(1)));
    let others = grpcio::Client::new(builder.connect(&server.bound()[0].address.to_string()));
    for _ in 0..20 {
        let failed = others.unary_call(&ECHO, &request(1), grpcio::CallOption::default());
        let Err(grpcio::Error::RpcFailure(end)) = failed else {
            panic!("{failed:?}");
        };
        assert_eq!(end.code(), RpcStatusCode::INTERNAL);
    }
}

#[rstest]
fn a_code_that_grpc_does_not_know_is_unknown(#[values(-5, -1, 17, 99, i32::MAX)] code: i32) {
    let server = ends_with(Some(Status::new(code, "odd")));
    let (_, end, _) = stream(&client(&server), 1);
    let end = end.unwrap();
    assert_eq!((end.code(), end.message()), (RpcStatusCode::UNKNOWN, "odd"));
    assert_eq!(end.to_string(), "UNKNOWN: odd");
}

/// A check is user code that refuses calls before their handler.
#[test]
fn a_check_refuses_with_what_every_client_takes() {
    let server = builder()
        .listen(local())
        .check(|_| Err(Status::new(99, "x".repeat(20_000))))
        .add_service(Service::new().unary(&ECHO, |_, _| Ok(Response::new())))
        .start()
        .unwrap();
    let ReceiveError::Status(end) = client(&server).unary(&ECHO, request(1)).unwrap_err() else {
        panic!("no status");
    };
    assert_eq!(end.code(), RpcStatusCode::UNKNOWN);
    assert!(end.message().starts_with("xxx"));
}
