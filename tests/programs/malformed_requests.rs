//! Malformed requests: each ends with a status that names the fault, and other calls continue.

use crate::common::server::{send_raw, TestServer, FETCH};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use grpcio::RpcStatusCode;
use rstest::rstest;

const GOOD: &[u8] = &[0x08, 0x01];

fn server(transport: Transport) -> TestServer {
    TestServer::start(transport, &["--step", "0s", "--log-level", "warn"])
}

/// Sends a request that must fail, then a good one that must succeed.
#[track_caller]
fn refused(transport: Transport, request: Vec<u8>) -> grpcio::RpcStatus {
    let server = server(transport);
    let channel = server.channel();
    let (responses, status) = send_raw(&channel, FETCH, request);
    assert_eq!(responses, 0);
    let (responses, good) = send_raw(&channel, FETCH, GOOD.to_vec());
    assert_eq!((responses, good.code()), (5, RpcStatusCode::OK));
    status
}

#[rstest]
fn a_truncated_request(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let status = refused(transport, vec![0x08]);
    assert_eq!(status.code(), RpcStatusCode::INTERNAL);
    let message = status.message();
    assert!(
        message.contains("the request is no protobuf.Request"),
        "{message}"
    );
}

/// It is an unknown field, as for every implementation of protobuf.
#[rstest]
fn a_field_of_another_type(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = server(transport);
    // Field 1 as a string.
    let (responses, status) = send_raw(&server.channel(), FETCH, vec![0x0a, 0x01, b'1']);
    assert_eq!((responses, status.code()), (5, RpcStatusCode::OK));
}

#[rstest]
fn a_request_that_is_not_protobuf(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let status = refused(transport, b"GET / HTTP/1.1".to_vec());
    assert_eq!(status.code(), RpcStatusCode::INTERNAL);
}

#[rstest]
fn unknown_fields_are_ignored(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = server(transport);
    // Field 15, a varint, before the id.
    let (responses, status) = send_raw(&server.channel(), FETCH, vec![0x78, 0x05, 0x08, 0x01]);
    assert_eq!((responses, status.code()), (5, RpcStatusCode::OK));
}

#[rstest]
fn an_empty_request_has_the_id_0(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = server(transport);
    let (responses, status) = send_raw(&server.channel(), FETCH, Vec::new());
    assert_eq!((responses, status.code()), (5, RpcStatusCode::OK));
}

#[rstest]
fn a_request_larger_than_allowed(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let status = refused(transport, vec![0; 5000]);
    assert_eq!(status.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
    let message = status.message();
    assert!(message.contains("4096"), "{message}");
}

#[rstest]
fn the_size_limit_of_requests_is_exact(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let flags = ["--step", "0s", "--log-level", "warn"];
    let server = TestServer::start(
        transport,
        &[&flags[..], &["--max-request-bytes", "1000"]].concat(),
    );
    let channel = server.channel();
    let request = |bytes: usize| {
        // The id, then an unknown field as padding.
        let length = u16::try_from(bytes - 5).unwrap();
        let length = [length as u8 & 0x7f | 0x80, (length >> 7) as u8];
        let mut request = [GOOD, &[0x7a], &length].concat();
        request.resize(bytes, 0);
        request
    };
    let (responses, status) = send_raw(&channel, FETCH, request(1000));
    assert_eq!((responses, status.code()), (5, RpcStatusCode::OK));
    let (responses, status) = send_raw(&channel, FETCH, request(1001));
    assert_eq!(
        (responses, status.code()),
        (0, RpcStatusCode::RESOURCE_EXHAUSTED)
    );
    assert!(status.message().contains("(1001 vs. 1000)"), "{status:?}");
}

/// RUSTSEC-2024-0437: protobuf 2 recurses into unknown groups.
#[rstest]
fn three_million_nested_groups(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(
        transport,
        &[
            "--step",
            "0s",
            "--log-level",
            "warn",
            "--max-request-bytes",
            "16MiB",
        ],
    );
    let channel = server.channel();
    // Field 2, start group.
    let (responses, status) = send_raw(&channel, FETCH, vec![0x13; 3_000_000]);
    assert_eq!(responses, 0);
    assert_eq!(status.code(), RpcStatusCode::INTERNAL);
    let (responses, good) = send_raw(&channel, FETCH, GOOD.to_vec());
    assert_eq!((responses, good.code()), (5, RpcStatusCode::OK));
}

#[rstest]
fn an_unknown_method_and_an_unknown_service(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = server(transport);
    let channel = server.channel();
    for method in [
        "/protobuf.StreamService/Fetch",
        "/other.Service/FetchResponse",
    ] {
        let (responses, status) = send_raw(&channel, method, GOOD.to_vec());
        assert_eq!(
            (responses, status.code()),
            (0, RpcStatusCode::UNIMPLEMENTED)
        );
    }
    let (responses, _) = send_raw(&channel, FETCH, GOOD.to_vec());
    assert_eq!(responses, 5);
}

#[rstest]
fn other_streams_are_unaffected(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "50ms", "--responses", "10"]);
    let channel = server.channel();
    let other = {
        let channel = channel.clone();
        std::thread::spawn(move || send_raw(&channel, FETCH, GOOD.to_vec()))
    };
    for _ in 0..50 {
        send_raw(&channel, FETCH, vec![0x08]);
        send_raw(&channel, FETCH, vec![0; 5000]);
        send_raw(&channel, "/no/such", Vec::new());
    }
    let (responses, status) = other.join().unwrap();
    assert_eq!((responses, status.code()), (10, RpcStatusCode::OK));
}
