//! Servers and clients whose messages have different codecs. They understand each other.

mod failures;
mod kinds;

use fanstream::client::Client;
use fanstream::engine::codec::{method, Encoded, Message, Prost, RawBytes};
use fanstream::prost_types;
use fanstream::server::{Server, Service};
use grpcio::{Method, MethodType, RpcStatusCode};
use protobuf::well_known_types;
use rstest::rstest;

use self::kinds::{count, echo, ByOwn, ByProst, Codec, Kind, Raw, RustProtobuf, SIZES};
use crate::{builder, client, failed};

fn start(services: impl IntoIterator<Item = Service>) -> Server {
    let builder = services
        .into_iter()
        .fold(builder(), |builder, service| builder.add_service(service));
    builder.start().unwrap()
}

#[rstest]
fn the_other_side_may_have_another_codec(
    #[values(Kind::RustProtobuf, Kind::Prost, Kind::Raw, Kind::Own)] of_server: Kind,
    #[values(Kind::RustProtobuf, Kind::Prost, Kind::Raw, Kind::Own)] of_client: Kind,
) {
    let server = start([of_server.service()]);
    of_client.check(&client(&server));
}

/// A proxy of ten lines.
fn proxy(upstream: Client) -> Service {
    let streaming = upstream.clone();
    Service::new()
        .server_streaming(&count::<Raw>(), move |_, request| {
            let responses = streaming.call(&count::<Raw>(), request);
            Ok(responses.map(|response| Ok(response?)))
        })
        .unary(&echo::<Raw>(), move |_, request| {
            Ok(upstream.unary(&echo::<Raw>(), request)?)
        })
}

#[test]
fn a_proxy_passes_on_messages_that_it_does_not_know() {
    let server = start([Kind::Prost.service()]);
    let proxy = start([proxy(client(&server))]);
    let client = client(&proxy);
    Kind::RustProtobuf.check(&client);
    // Also a failure: bytes that are not a message there.
    let wrong = client.unary(&echo::<Raw>(), RawBytes(vec![0x0a]));
    assert_eq!(failed(wrong).0, RpcStatusCode::INTERNAL);
}

/// A prost type of another package, for which this one could not implement the trait.
#[test]
fn a_wrapper_carries_types_of_other_packages() {
    const NOW: &str = "/test.Codecs/Now";
    const BY_PROST: Method<Prost<()>, Prost<prost_types::Timestamp>> =
        method(MethodType::Unary, NOW);
    const BY_PROTOBUF: Method<well_known_types::Empty, well_known_types::Timestamp> =
        method(MethodType::Unary, NOW);
    const NOON: i64 = 1_700_000_000;

    let server = start([Service::new().unary(&BY_PROST, |_, Prost(())| {
        Ok(Prost(prost_types::Timestamp {
            seconds: NOON,
            nanos: 5,
        }))
    })]);
    let client = client(&server);
    let now = client.unary(&BY_PROTOBUF, Default::default()).unwrap();
    assert_eq!((now.seconds, now.nanos), (NOON, 5));
    let now = client.unary(&BY_PROST, Prost(())).unwrap();
    assert_eq!((now.seconds, now.nanos), (NOON, 5));

    assert_eq!(
        <Prost<prost_types::Timestamp> as Message>::full_name(),
        "Timestamp"
    );
}

#[test]
fn encoded_messages_have_the_bytes_of_their_codec() {
    fn lens<C: Codec>() -> Vec<usize> {
        let message = |size: &usize| C::response("x".repeat(*size));
        let encoded = SIZES
            .iter()
            .map(|size| Encoded::new(&message(size)).unwrap());
        encoded.map(|encoded| encoded.len()).collect()
    }
    let expected = lens::<RustProtobuf>();
    assert!(expected.contains(&47) && expected.contains(&48));
    assert_eq!(lens::<ByProst>(), expected);
    assert_eq!(lens::<Raw>(), expected);
    assert_eq!(lens::<ByOwn>(), expected);
}
