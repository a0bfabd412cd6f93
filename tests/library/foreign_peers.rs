//! What proxies and other implementations answer: HTTP errors, interim responses, resets. The values
//! are those of http-grpc-status-mapping.md, PROTOCOL-HTTP2.md and gRFC A6.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use fanstream::client::Client;
use fanstream::engine::{CallStatus, ReceiveError, StatusOrigin};
use grpcio::RpcStatusCode as Code;
use protobuf::Message;
use rstest::rstest;

use super::{request, response, COUNT, SECOND};
use crate::common::http2::{frame, read_frame, CONTINUATION, HEADERS, SETTINGS};
use crate::common::raw_server::{Answer, End, RawServer};

fn client(server: &RawServer, retries: u32) -> Client {
    let builder = Client::builder(server.address.as_str());
    let builder = builder.timeout(20 * SECOND).retries(retries);
    builder.connect().unwrap()
}

/// The number of messages, and the status unless it is OK.
fn ends(server: &RawServer, retries: u32) -> (usize, Option<CallStatus>) {
    let mut messages = 0;
    for next in client(server, retries).call(&COUNT, request(1)) {
        match next {
            Ok(_) => messages += 1,
            Err(ReceiveError::Status(status)) => return (messages, Some(status)),
            Err(other) => panic!("{other}"),
        }
    }
    (messages, None)
}

fn message() -> Vec<u8> {
    let content = response("a").write_to_bytes().unwrap();
    [&[0, 0, 0, 0, content.len() as u8], &content[..]].concat()
}

fn page(status: &'static str, kind: &'static str) -> Answer {
    Answer {
        headers: vec![vec![(":status", status), ("content-type", kind)]],
        data: vec![b"<html><body>an error page</body></html>".to_vec()],
        end: End::Data,
        ..Answer::default()
    }
}

#[rstest]
#[case("400", Code::INTERNAL)]
#[case("401", Code::UNAUTHENTICATED)]
#[case("403", Code::PERMISSION_DENIED)]
#[case("404", Code::UNIMPLEMENTED)]
#[case("429", Code::UNAVAILABLE)]
#[case("500", Code::UNKNOWN)]
#[case("502", Code::UNAVAILABLE)]
#[case("503", Code::UNAVAILABLE)]
#[case("504", Code::UNAVAILABLE)]
#[case("302", Code::UNKNOWN)]
fn an_error_page_is_the_status_that_grpc_maps_it_to(
    #[case] status: &'static str,
    #[case] code: Code,
) {
    for kind in ["text/html", "application/grpc"] {
        let server = RawServer::start(page(status, kind));
        let (messages, end) = ends(&server, 0);
        let end = end.unwrap();
        assert_eq!((messages, end.code()), (0, code), "{kind} {end:?}");
        assert!(end.message().contains(status), "{end}");
        assert_eq!(end.origin(), StatusOrigin::Transport, "{end:?}");
    }
}

#[test]
fn a_page_that_claims_success_is_unknown() {
    let server = RawServer::start(page("200", "text/html"));
    let (messages, end) = ends(&server, 0);
    let end = end.unwrap();
    assert_eq!((messages, end.code()), (0, Code::UNKNOWN), "{end:?}");
    assert!(end.message().contains("content-type"), "{end}");
}

/// A proxy whose server restarts.
#[test]
fn an_unavailable_page_is_retried_and_the_server_told() {
    let server = RawServer::start(page("503", "text/html"));
    let (_, end) = ends(&server, 2);
    assert_eq!(end.unwrap().code(), Code::UNAVAILABLE);
    let calls = server.calls();
    assert_eq!(calls.len(), 3);
    let told = |n: usize| contains(&calls[n], b"grpc-previous-rpc-attempts");
    assert_eq!([told(0), told(1), told(2)], [false, true, true]);
}

#[rstest]
fn a_proxy_that_refuses_a_call_is_not_asked_again(
    #[values("401", "403", "404")] status: &'static str,
) {
    let server = RawServer::start(page(status, "text/html"));
    assert!(ends(&server, 2).1.is_some());
    assert_eq!(server.calls().len(), 1);
}

/// RFC 9113, 8.1: any number of interim responses precede the final one.
#[rstest]
fn interim_responses_are_ignored(#[values("100", "103")] status: &'static str) {
    let interim = vec![(":status", status), ("link", "</a>; rel=preload")];
    let last = vec![(":status", "200"), ("content-type", "application/grpc")];
    let server = RawServer::start(Answer {
        headers: vec![interim.clone(), interim, last],
        data: vec![message()],
        ..Answer::default()
    });
    let (messages, end) = ends(&server, 0);
    assert!(messages == 1 && end.is_none(), "{messages} {end:?}");
}

/// As nginx and Envoy end a stream whose server is killed (2), and others with CANCEL (8).
#[rstest]
#[case(2, Code::INTERNAL)]
#[case(8, Code::CANCELLED)]
#[case(1, Code::INTERNAL)]
fn a_reset_is_told_apart_from_a_status_of_the_server(#[case] reset: u32, #[case] code: Code) {
    let answer = |end| Answer {
        data: vec![message()],
        end,
        ..Answer::default()
    };
    let server = RawServer::start(answer(End::ResetWith(reset)));
    let (_, end) = ends(&server, 0);
    let end = end.unwrap();
    assert_eq!(
        (end.code(), end.origin()),
        (code, StatusOrigin::Transport),
        "{end:?}"
    );

    let server = RawServer::start(answer(End::Status("13")));
    let (messages, end) = ends(&server, 3);
    let end = end.unwrap();
    assert_eq!((messages, end.origin()), (1, StatusOrigin::Server));
}

#[test]
fn a_reset_before_the_first_response_is_retried_and_a_status_of_the_server_is_not() {
    let reset = RawServer::start(Answer {
        end: End::ResetWith(2),
        ..Answer::default()
    });
    assert!(ends(&reset, 2).1.is_some());
    assert_eq!(reset.calls().len(), 3);
    let internal = RawServer::start(Answer {
        end: End::Status("13"),
        ..Answer::default()
    });
    assert_eq!(ends(&internal, 2).1.unwrap().code(), Code::INTERNAL);
    assert_eq!(internal.calls().len(), 1);
}

/// gRFC A6: once at once, whatever the policy; it is no attempt that counts.
#[test]
fn a_refused_stream_is_retried_once() {
    let server = RawServer::start(Answer {
        end: End::ResetWith(7),
        ..Answer::default()
    });
    let (_, end) = ends(&server, 0);
    let end = end.unwrap();
    assert_eq!(
        (end.code(), end.origin()),
        (Code::UNAVAILABLE, StatusOrigin::Refused),
        "{end:?}"
    );
    let calls = server.calls();
    assert_eq!(calls.len(), 2);
    assert!(!contains(&calls[1], b"grpc-previous-rpc-attempts"));
}

#[rstest]
fn a_code_that_grpc_does_not_know(#[values("-5", "99", "17", "1000000")] status: &'static str) {
    let server = RawServer::start(Answer {
        data: vec![message()],
        end: End::Status(status),
        ..Answer::default()
    });
    let end = ends(&server, 0).1.unwrap();
    assert_eq!(end.code(), Code::UNKNOWN, "{end:?}");
}

/// Without a bound, 1 MB of gzip costs 1 GB.
#[test]
fn a_response_is_bounded_by_the_configuration() {
    let mut large = Vec::new();
    large.extend_from_slice(&[0]);
    large.extend_from_slice(&100_000_u32.to_be_bytes());
    large.extend_from_slice(&[0; 1_000]);
    let server = RawServer::start(Answer {
        data: vec![large],
        end: End::Never,
        ..Answer::default()
    });
    let client = Client::builder(server.address.as_str())
        .timeout(20 * SECOND)
        .max_response_bytes(99_999)
        .connect();
    let next = client.unwrap().call(&COUNT, request(1)).next().unwrap();
    let ReceiveError::Status(end) = next.unwrap_err() else {
        panic!("no status");
    };
    assert_eq!(end.code(), Code::RESOURCE_EXHAUSTED);
    assert!(end.message().contains("larger than max"), "{end}");
    assert_eq!(end.origin(), StatusOrigin::Client, "{end:?}");
}

/// A server that floods its client cannot hold a call beyond its timeout.
#[rstest]
#[case::settings(SETTINGS, 0, 0)]
#[case::headers_without_end(CONTINUATION, 1, 16_000)]
fn a_flood_does_not_outlast_the_timeout(
    #[case] kind: u8,
    #[case] stream_id: u32,
    #[case] length: usize,
) {
    const LIMIT: Duration = Duration::from_millis(500);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for connection in listener.incoming() {
            thread::spawn(move || flood(connection.unwrap(), kind, stream_id, length));
        }
    });
    let client = Client::builder(address).timeout(LIMIT).connect().unwrap();
    let began = Instant::now();
    let next = client.call(&COUNT, request(1)).next().unwrap();
    let ended = began.elapsed();
    assert!(next.is_err());
    assert!(ended < LIMIT + 2 * SECOND, "{ended:?}");
}

/// Sends its SETTINGS, and once there is a call frames of one kind without end.
fn flood(mut stream: TcpStream, kind: u8, stream_id: u32, length: usize) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_exact(&mut [0; 24])?;
    let mut hello = Vec::new();
    frame(&mut hello, SETTINGS, 0, 0, &[]);
    stream.write_all(&hello)?;
    let mut payload = Vec::new();
    while read_frame(&mut reader, &mut payload)?.0 != HEADERS {}
    // Its answers must not fill up the way back.
    thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
    let mut first = Vec::new();
    if stream_id != 0 {
        frame(&mut first, HEADERS, 0, stream_id, &[0x88]); // :status 200
    }
    stream.write_all(&first)?;
    let mut flood = Vec::new();
    // Each byte is a field of the static table.
    while flood.len() < 65_536 {
        frame(&mut flood, kind, 0, stream_id, &vec![0x82; length]);
    }
    loop {
        stream.write_all(&flood)?;
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
