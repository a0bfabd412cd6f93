//! Messages that a codec cannot decode, or that are too large: the same errors with each codec.

use fanstream::client::Client;
use fanstream::engine::codec::RawBytes;
use fanstream::engine::ReceiveError;
use fanstream::server::{Server, ServerConfig, Service};
use grpcio::RpcStatusCode;
use rstest::rstest;

use super::kinds::{count, echo, ByProst, Codec, Kind, Raw, RustProtobuf};
use super::start;
use crate::{client, failed, local};

/// Calls both methods with these bytes. Returns the statuses.
fn send(kind: Kind, bytes: &[u8]) -> [Result<(), (RpcStatusCode, String)>; 2] {
    let server = start([kind.service()]);
    let client = client(&server);
    let unary = client.unary(&echo::<Raw>(), RawBytes(bytes.into()));
    let mut stream = client.call(&count::<Raw>(), RawBytes(bytes.into()));
    let streamed = stream.find_map(Result::err).map_or(Ok(()), Err);
    [unary.map(drop), streamed].map(|outcome| match outcome {
        Ok(()) => Ok(()),
        error => Err(failed(error)),
    })
}

#[rstest]
#[case(Kind::RustProtobuf, ["protobuf.Response", "protobuf.Request"])]
#[case(Kind::Prost, ["Response", "protobuf.Request"])] // the first one has no name of a proto
fn an_undecodable_request_is_internal(#[case] kind: Kind, #[case] names: [&str; 2]) {
    for wrong in [&[0x08][..], &[0x0a, 2, b'x'], &[0x14]] {
        for (outcome, name) in send(kind, wrong).into_iter().zip(names) {
            let (code, message) = outcome.unwrap_err();
            assert_eq!(code, RpcStatusCode::INTERNAL);
            let start = format!("the request is no {name}: ");
            let reason = message.strip_prefix(&start).unwrap_or_default();
            // `Debug` of an error would have one of these.
            let is_debug = reason.contains(['{', '"']) || reason.contains("Error");
            assert!(!reason.is_empty() && !is_debug, "{message}");
        }
    }
}

/// A group in a group in a group, and so on, as deep as the size of requests allows.
#[rstest]
fn nested_groups_end_at_a_limit(#[values(Kind::RustProtobuf, Kind::Prost)] kind: Kind) {
    for outcome in send(kind, &vec![0x7b; 3_000_000]) {
        assert_eq!(outcome.unwrap_err().0, RpcStatusCode::INTERNAL);
    }
}

/// The code that `fanstream-build` generates for rust-protobuf keeps such a field as an unknown one.
#[test]
fn a_field_of_another_wire_type_is_an_error_of_prost_only() {
    let (text_as_number, number_as_text) = ([0x08, 1], [0x0a, 1, b'1']);
    let [unary, _] = send(Kind::RustProtobuf, &text_as_number);
    let [_, streaming] = send(Kind::RustProtobuf, &number_as_text);
    assert_eq!((unary, streaming), (Ok(()), Ok(())));

    let [unary, _] = send(Kind::Prost, &text_as_number);
    let [_, streaming] = send(Kind::Prost, &number_as_text);
    for outcome in [unary, streaming] {
        let (code, message) = outcome.unwrap_err();
        assert_eq!(code, RpcStatusCode::INTERNAL);
        assert!(message.contains("invalid wire type"), "{message}");
    }
}

#[rstest]
fn an_undecodable_response_breaks_the_call(
    #[values(Kind::RustProtobuf, Kind::Prost)] of_client: Kind,
) {
    let wrong = || RawBytes(vec![0x0a, 2, b'x']);
    let service = Service::new()
        .server_streaming(&count::<Raw>(), move |_, _| {
            let right = Raw::response("right".into());
            Ok([Ok(right), Ok(wrong()), Ok(wrong())])
        })
        .unary(&echo::<Raw>(), move |_, _| Ok(wrong()));
    let server = start([service]);
    let client = client(&server);
    fn responses<C: Codec>(client: &Client) -> Vec<Result<String, ReceiveError>> {
        let responses = client.call(&count::<C>(), C::request(1));
        responses.map(|response| response.map(C::text)).collect()
    }
    let responses = match of_client {
        Kind::RustProtobuf => responses::<RustProtobuf>(&client),
        _ => responses::<ByProst>(&client),
    };
    assert_eq!(responses.len(), 2, "{responses:?}");
    assert_eq!(responses[0].as_ref().unwrap(), "right");
    for error in [
        responses.into_iter().nth(1).unwrap().unwrap_err(),
        of_client.repeat(&client, "x".into()).unwrap_err(),
    ] {
        assert!(matches!(error, ReceiveError::Broken(_)), "{error:?}");
        assert_eq!(error.code(), RpcStatusCode::INTERNAL);
    }
}

#[rstest]
fn too_large_a_request_is_refused(
    #[values(Kind::RustProtobuf, Kind::Prost, Kind::Raw, Kind::Own)] kind: Kind,
) {
    let config = ServerConfig {
        max_request_bytes: 100,
        ..ServerConfig::default()
    };
    let server = Server::builder().config(config).listen(local());
    let server = server.add_service(kind.service()).start().unwrap();
    let client = client(&server);
    // Two bytes are those of the field.
    assert_eq!(kind.repeat(&client, "x".repeat(98)).unwrap().len(), 98);
    let (code, message) = failed(kind.repeat(&client, "x".repeat(99)));
    assert_eq!(code, RpcStatusCode::RESOURCE_EXHAUSTED);
    assert_eq!(message, "Received message larger than max (101 vs. 100)");
    let mut stream = client.call(&count::<Raw>(), RawBytes(vec![0; 101]));
    let (code, _) = failed(stream.next().unwrap());
    assert_eq!(code, RpcStatusCode::RESOURCE_EXHAUSTED);
}
