//! The client: settings of a call, gzip, timeouts and missing responses.

use std::thread;
use std::time::Duration;

use fanstream::client::{Client, Header};
use fanstream::engine::codec::method;
use fanstream::proto::stream::{Request, Response};
use fanstream::server::{Server, ServerConfig, Service};
use fanstream::Status;
use grpcio::{Method, MethodType, RpcStatusCode};
use protobuf::Message;
use rstest::rstest;

use crate::common::process::eventually;
use crate::common::proxy::Proxy;
use crate::common::raw_server::{Answer, End, RawServer};
use crate::{builder, client, failed, local, request, response, COUNT, ECHO, SECOND};

#[test]
fn a_call_can_have_its_own_settings() {
    let server = builder()
        .add_service(Service::new().server_streaming(&COUNT, |call, _: Request| {
            let headers = call.headers().unwrap();
            let value = headers.iter().find(|(name, _)| *name == "x-tenant");
            let tenant = value.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
            let call = call.clone();
            Ok(
                std::iter::once(Ok(response(tenant.unwrap_or_default()))).chain(
                    std::iter::from_fn(move || {
                        while !call.is_over() {
                            thread::sleep(Duration::from_millis(5));
                        }
                        None
                    }),
                ),
            )
        }))
        .start()
        .unwrap();
    let client = client(&server);
    let mut settings = client.call_settings();
    settings.timeout = Some(SECOND / 2);
    settings.headers.push(Header::new("x-tenant", "a").unwrap());
    let mut stream = client.call_with(&COUNT, request(1), settings);
    assert_eq!(stream.next().unwrap().unwrap().result, "a");
    assert!(stream.headers().is_some() && stream.status().is_none());
    let exceeded = failed(stream.next().unwrap()).0;
    assert_eq!(exceeded, RpcStatusCode::DEADLINE_EXCEEDED);
    assert_eq!(stream.status().unwrap().code(), exceeded);
    // A dropped stream is cancelled.
    let mut stream = client.call(&COUNT, request(1));
    assert_eq!(stream.next().unwrap().unwrap().result, "");
    drop(stream);
    eventually(|| (server.streams().open() == 0).then_some(()));
}

/// Echoes its request.
const BACK: Method<Response, Response> = method(MethodType::Unary, "/test.Echo/Back");

#[test]
fn gzip_compresses_requests_and_responses() {
    let config = ServerConfig {
        gzip: true,
        ..ServerConfig::default()
    };
    let server = Server::builder()
        .config(config)
        .listen(local())
        .add_service(Service::new().unary(&BACK, |_, request| Ok(request)))
        .start()
        .unwrap();
    let address = server.bound()[0].address.to_string();
    let text = "a".repeat(1 << 20);
    for gzip in [false, true] {
        let proxy = Proxy::to(&address);
        let client = Client::builder(proxy.address.as_str())
            .timeout(30 * SECOND)
            .gzip(gzip)
            .connect()
            .unwrap();
        let returned = client.unary(&BACK, response(&text)).unwrap();
        assert_eq!(returned.result, text);
        assert_eq!(proxy.received_from_client() < 1 << 16, gzip);
        assert!(proxy.received_from_server() < 1 << 16);
    }
}

#[test]
fn an_ok_without_a_response_is_an_error() {
    let server = builder()
        .add_service(Service::new().server_streaming(&COUNT, |_, _| {
            Ok(std::iter::empty::<Result<Response, Status>>())
        }))
        .start()
        .unwrap();
    let client = client(&server);
    let count = method::<Request, Response>(MethodType::Unary, COUNT.name);
    let (code, message) = failed(client.unary(&count, request(1)));
    assert_eq!(code, RpcStatusCode::UNIMPLEMENTED, "{message}");
}

/// As a faulty server sends them, with a status or without.
#[rstest]
fn several_responses_to_a_unary_call_are_an_error(#[values(End::Ok, End::Never)] end: End) {
    let content = response("a").write_to_bytes().unwrap();
    let message = [&[0, 0, 0, 0, content.len() as u8], &content[..]].concat();
    let server = RawServer::start(Answer {
        data: vec![message.clone(), message],
        end,
        ..Answer::default()
    });
    let client = Client::builder(server.address.as_str())
        .timeout(30 * SECOND)
        .connect()
        .unwrap();
    let (code, message) = failed(client.unary(&ECHO, request(1)));
    assert_eq!(code, RpcStatusCode::UNIMPLEMENTED, "{message}");
    assert!(message.contains("several responses"), "{message}");
}

#[test]
fn a_timeout_reaches_the_handler_unchanged() {
    let limit = 2 * SECOND;
    let service = Service::new().unary(&ECHO, move |call, _| {
        let left = call.time_left().unwrap_or_default();
        Ok(response(left <= limit && left > limit / 2))
    });
    let server = builder().add_service(service).start().unwrap();
    let client = client(&server);
    for _ in 0..20 {
        let mut settings = client.call_settings();
        settings.timeout = Some(limit);
        let answer = client.unary_with(&ECHO, request(1), settings).unwrap();
        assert_eq!(answer.message.result, "true");
    }
}
