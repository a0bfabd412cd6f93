//! The library's server and client: services, limits and keepalive. Tests of flags and output are
//! in `tests/programs`.

#[path = "../common/mod.rs"]
mod common;

mod calling;
mod cancelling;
mod codecs;
mod company;
mod connection_limits;
mod direct;
mod errors;
mod executors;
mod extensions;
mod foreign_peers;
mod framed_responses;
mod half_open_calls;
mod handle;
mod keepalive;
mod lazy_clients;
mod malformed_responses;
mod memory_quota;
mod metrics;
mod numbers;
mod outages;
mod peer_limits;
mod resuming;
mod serving;
mod shared_writes;
mod signals;
mod statuses;
mod stream_age;
mod waiting;

use std::net::TcpListener;
use std::time::Duration;

use fanstream::address::Address;
use fanstream::client::Client;
use fanstream::engine::codec::method;
use fanstream::engine::ReceiveError;
use fanstream::proto::stream::{Request, Response};
use fanstream::server::{Server, ServerBuilder, Service};
use fanstream::Status;
use grpcio::{Method, MethodType, RpcStatusCode};

const ECHO: Method<Request, Response> = method(MethodType::Unary, "/test.Echo/Echo");
const FAIL: Method<Request, Response> = method(MethodType::Unary, "/test.Echo/Fail");
const PANIC: Method<Request, Response> = method(MethodType::Unary, "/test.Echo/Panic");
const COUNT: Method<Request, Response> = method(MethodType::ServerStreaming, "/test.Count/Count");
const ENDLESS: Method<Request, Response> =
    method(MethodType::ServerStreaming, "/test.Endless/Endless");
const UNKNOWN: Method<Request, Response> = method(MethodType::Unary, "/test.Echo/Unknown");

const SECOND: Duration = Duration::from_secs(1);

fn request(id: i32) -> Request {
    let mut request = Request::new();
    request.set_id(id);
    request
}

fn response(text: impl ToString) -> Response {
    let mut response = Response::new();
    response.set_result(text.to_string());
    response
}

fn status(code: RpcStatusCode, message: &str) -> Status {
    Status::new(code, message)
}

fn echo() -> Service {
    Service::new()
        .unary(&ECHO, |_, request| Ok(response(request.id)))
        .unary(&FAIL, |_, _| {
            Err(status(RpcStatusCode::NOT_FOUND, "as asked"))
        })
        .unary(&PANIC, |_, _| panic!("as asked"))
}

fn count() -> Service {
    Service::new().server_streaming(&COUNT, |_, request: Request| {
        Ok((0..request.id).map(|n| Ok(response(n))))
    })
}

fn local() -> Address {
    "127.0.0.1:0".parse().unwrap()
}

/// An address at which nobody listens yet.
fn unused() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn builder() -> ServerBuilder {
    Server::builder().listen(local())
}

fn client(server: &Server) -> Client {
    connect(server.address())
}

fn connect(address: &Address) -> Client {
    let builder = Client::builder(address).timeout(30 * SECOND);
    builder.connect().unwrap()
}

#[track_caller]
fn failed<T: std::fmt::Debug>(outcome: Result<T, ReceiveError>) -> (RpcStatusCode, String) {
    match outcome {
        Err(ReceiveError::Status(status)) => (status.code(), status.message().to_string()),
        other => panic!("{other:?}"),
    }
}

fn texts(client: &Client, id: i32) -> Vec<String> {
    let responses = client.call(&COUNT, request(id));
    responses.map(|r| r.unwrap().take_result()).collect()
}
