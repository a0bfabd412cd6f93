//! Encoded messages: requests and responses of `engine::codec`, seen by a client that sends and
//! reads bytes.

use std::sync::Arc;
use std::time::Duration;

use crate::common::server::{send_raw, FETCH};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use fanstream::engine::codec::{server_streaming, Encoded, Raw};
use fanstream::engine::{
    IntoEncoded, IntoJobs, Job, Jobs, Streams, StreamsConfig, Workers, WorkersConfig,
};
use fanstream::proto::health::{HealthCheckResponse, HealthListResponse};
use fanstream::proto::reflection::{
    ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
    ServerReflectionResponse,
};
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::StreamServiceClient;
use grpcio::{
    Channel, ChannelBuilder, EnvBuilder, Method, RpcContext, RpcStatus, RpcStatusCode, Server,
    ServerBuilder, ServerStreamingSink, ServiceBuilder,
};
use protobuf::Message;
use rstest::rstest;

const MAX_REQUEST_BYTES: usize = 100;
const METHOD: Method<Raw<Request>, Encoded<Response>> = server_streaming(FETCH);

/// A server that decodes requests of up to [`MAX_REQUEST_BYTES`] bytes on a worker, and answers
/// with texts of `0`, `1`, … times the id.
fn start(transport: Transport) -> (Server, Channel) {
    start_with(transport, |id| {
        Job::now((0..3).map(move |k| Encoded::new(&text(k, id)))).into()
    })
}

fn start_with(
    transport: Transport,
    jobs: impl Fn(i32) -> Jobs<Encoded<Response>> + Clone + Send + 'static,
) -> (Server, Channel) {
    let workers = Workers::new(WorkersConfig::default()).unwrap();
    let streams = Streams::new(workers, StreamsConfig::default());
    let fetch = move |ctx: RpcContext<'_>, request: Raw<Request>, sink: ServerStreamingSink<_>| {
        let jobs = jobs.clone();
        streams.serve(&ctx, sink, move |_| {
            Ok(jobs(request.decode(MAX_REQUEST_BYTES)?.id))
        });
    };
    let service = ServiceBuilder::new()
        .add_server_streaming_handler(&METHOD, fetch)
        .build();
    let poll = || Arc::new(EnvBuilder::new().cq_count(1).build());
    let mut server = ServerBuilder::new(poll())
        .requests_slot_per_cq(16)
        .register_service(service)
        .build()
        .unwrap();
    let setup = transport.set_up();
    let port = server.add_listening_port("127.0.0.1:0", setup.server_credentials());
    server.start();
    let address = format!("127.0.0.1:{}", port.unwrap());
    let channel = setup.connect(ChannelBuilder::new(poll()), &address);
    (server, channel)
}

fn text(k: usize, id: i32) -> Response {
    Response {
        result: id.to_string().repeat(k),
        ..Response::default()
    }
}

/// A worker encodes the responses of pull and push jobs.
#[rstest]
fn messages_are_encoded_on_a_worker(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (_server, channel) = start_with(transport, |id| {
        let push = Job::push(move |sender| {
            let _ = sender.send(text(1, id));
            let second = sender.clone();
            std::thread::spawn(move || second.try_send(text(2, id)).unwrap());
            Ok(())
        });
        let pull = Job::after(
            Duration::from_millis(50),
            (3..5).map(move |k| Ok(text(k, id))),
        );
        <Response as IntoEncoded<Response>>::encode_jobs(vec![push, pull].into())
    });
    assert_eq!(
        fetch(&channel, 7),
        (1..5).map(|k| text(k, 7)).collect::<Vec<_>>()
    );
    // Heartbeats are encoded too.
    let (_server, channel) = start_with(transport, |id| {
        let late = Job::after(Duration::from_millis(15), std::iter::once(Ok(text(2, id))));
        let beats = Jobs::from(late).with_heartbeat(Duration::from_millis(10), move || text(1, id));
        IntoEncoded::encode_jobs(beats)
    });
    assert!(fetch(&channel, 7).ends_with(&[text(2, 7)]));
    // An encoded message stays unchanged.
    let (_server, channel) = start_with(transport, |id| {
        let producer = (0..3).map(move |k| Encoded::new(&text(k, id)));
        IntoEncoded::encode_jobs(producer.into_jobs())
    });
    assert_eq!(
        fetch(&channel, 7),
        (0..3).map(|k| text(k, 7)).collect::<Vec<_>>()
    );
}

/// Calls with the generated client, which knows nothing of the codec.
fn fetch(channel: &Channel, id: i32) -> Vec<Response> {
    let request = Request {
        id,
        ..Request::default()
    };
    let stream = StreamServiceClient::new(channel.clone()).fetch_response(&request);
    let responses = futures::executor::block_on_stream(stream.unwrap());
    responses.map(Result::unwrap).collect()
}

/// A request for id 1 of exactly this size, most of it in an unknown field.
fn request_of(bytes: usize) -> Vec<u8> {
    // The id, then field 15 with a one-byte length.
    let mut request = vec![0x08, 0x01, 0x7a, u8::try_from(bytes - 4).unwrap()];
    assert!(request[3] < 0x80);
    request.resize(bytes, 0);
    request
}

#[rstest]
fn encoded_messages_decode_to_the_same_value(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (_server, channel) = start(transport);
    assert_eq!(
        fetch(&channel, -77),
        [text(0, -77), text(1, -77), text(2, -77)]
    );
}

#[test]
fn an_encoded_message_has_the_length_of_its_bytes() {
    for k in [0, 1, 1000, 1 << 20] {
        let message = text(k, 7);
        let encoded = Encoded::new(&message).unwrap();
        assert_eq!(encoded.len(), message.compute_size() as usize);
        assert_eq!(encoded.is_empty(), k == 0);
    }
}

#[rstest]
fn the_size_limit_of_requests_is_exact(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (_server, channel) = start(transport);
    let (responses, status) = send_raw(&channel, FETCH, request_of(MAX_REQUEST_BYTES));
    assert_eq!((responses, status.code()), (3, RpcStatusCode::OK));
    let (responses, status) = send_raw(&channel, FETCH, request_of(MAX_REQUEST_BYTES + 1));
    assert_eq!(responses, 0);
    assert_eq!(status.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
    assert_eq!(
        status.message(),
        "Received message larger than max (101 vs. 100)"
    );
}

#[rstest]
fn a_malformed_request_is_internal(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (_server, channel) = start(transport);
    // Truncated; the end of a group that never began.
    for wrong in [vec![0x08], vec![0x14]] {
        let (responses, status): (_, RpcStatus) = send_raw(&channel, FETCH, wrong);
        assert_eq!((responses, status.code()), (0, RpcStatusCode::INTERNAL));
        let message = status.message();
        let start = "the request is no protobuf.Request: ";
        assert!(
            message.starts_with(start) && message.len() > start.len(),
            "{message}"
        );
    }
}

/// A field with this number of each wire type, each with the shortest content.
fn fields(number: u8) -> [Vec<u8>; 5] {
    let tag = |wire_type: u8| number << 3 | wire_type;
    [
        vec![tag(0), 0],
        [vec![tag(1)], vec![0; 8]].concat(),
        vec![tag(2), 0],
        vec![tag(3), tag(4)], // a group: its begin and end
        [vec![tag(5)], vec![0; 4]].concat(),
    ]
}

/// Checks that a field of another wire type is an unknown field. Of the wire types, `fitting` are
/// known for this field.
#[track_caller]
fn only_these_fit<M: Message>(number: u8, fitting: &[u8]) {
    for field in fields(number) {
        let name = M::descriptor_static().full_name();
        let context = format!("field {number} of {name}: {field:02x?}");
        let message = M::parse_from_bytes(&field).expect(&context);
        let wire_type = field[0] & 7;
        // Groups are skipped.
        let kept = wire_type != 3 && !fitting.contains(&wire_type);
        let unknown = message.get_unknown_fields().get(number.into());
        assert_eq!(unknown.is_some(), kept, "{context}");
        if kept {
            assert_eq!(message.write_to_bytes().unwrap(), field, "{context}");
        }
    }
}

#[test]
fn a_field_of_another_wire_type_is_unknown() {
    only_these_fit::<Request>(1, &[0]);
    only_these_fit::<Response>(1, &[2]);
    // In a oneof: a text, a message.
    only_these_fit::<ServerReflectionRequest>(3, &[2]);
    only_these_fit::<ServerReflectionRequest>(5, &[2]);
    // A message; repeated bytes, numbers and messages; an enum; a map.
    only_these_fit::<ServerReflectionResponse>(2, &[2]);
    only_these_fit::<FileDescriptorResponse>(1, &[2]);
    only_these_fit::<ExtensionNumberResponse>(2, &[0, 2]);
    only_these_fit::<ListServiceResponse>(1, &[2]);
    only_these_fit::<HealthCheckResponse>(1, &[0]);
    only_these_fit::<HealthListResponse>(1, &[2]);
}

#[test]
fn wrong_content_of_a_field_is_an_error() {
    // A text that is not UTF-8; a truncated message.
    assert!(Response::parse_from_bytes(&[0x0a, 1, 0xff]).is_err());
    assert!(ListServiceResponse::parse_from_bytes(&[0x0a, 1, 0x0a]).is_err());
}

#[rstest]
fn a_request_with_a_field_of_another_wire_type_is_answered(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (_server, channel) = start(transport);
    let (responses, status) = send_raw(&channel, FETCH, vec![0x0a, 0x01, b'1']);
    assert_eq!((responses, status.code()), (3, RpcStatusCode::OK));
}
