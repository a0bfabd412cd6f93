use std::io::Read;
use std::sync::Arc;

use futures::executor::block_on_stream;
use grpcio::{
    CallOption, ChannelBuilder, Client, Environment, Marshaller, Method, MethodType, ServerBuilder,
    ServerCredentials, ServiceBuilder, WriteFlags,
};
use protobuf::well_known_types::StringValue;

use super::super::call::{Job, Jobs};
use super::super::codec::{server_streaming, Encoded};
use super::super::{Streams, StreamsConfig, Workers, WorkersConfig};
use super::*;

fn bytes(mut reader: MessageReader) -> grpcio::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

/// Frames that arrive as these slices.
fn frames(slices: &[&[u8]]) -> Frames {
    let slices: Vec<_> = slices.iter().map(|slice| GrpcSlice::from(*slice)).collect();
    Frames(Some(MessageReader::new(slices.as_slice().into())))
}

fn rest(frames: &mut Frames) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| frames.next(bytes))
        .map(Result::unwrap)
        .collect()
}

const MESSAGES: [&[u8]; 6] = [b"", b"a", &[7; 4096], b"", &[8; 300], b""];

fn sequence() -> GrpcSlice {
    let mut frames = Vec::new();
    MESSAGES
        .iter()
        .for_each(|message| append(message, &mut frames));
    GrpcSlice::from(&frames[..])
}

#[test]
fn messages_survive_at_any_split() {
    let sequence = sequence();
    let sequence = sequence.as_slice();
    for size in [1, 2, 3, 5, 6, 7, 100, 4096, 10_000] {
        let slices: Vec<_> = sequence.chunks(size).collect();
        assert_eq!(rest(&mut frames(&slices)), MESSAGES, "{size}");
    }
}

#[test]
fn frames_are_empty_after_the_last_message() {
    let mut frames = frames(&[sequence().as_slice()]);
    for message in MESSAGES {
        assert!(!frames.is_empty());
        assert_eq!(frames.next(bytes).unwrap().unwrap(), message);
    }
    assert!(frames.is_empty() && frames.next(bytes).is_none());
    assert!(Frames::none().is_empty() && Frames::none().next(bytes).is_none());
}

#[test]
fn frames_fill_a_data_frame() {
    const LARGEST: usize = MAX_FRAMED_BYTES as usize;
    assert!(!fits(0, MAX_FRAMED_BYTES + 1));
    let mut frames = Vec::new();
    let mut count = 0;
    while fits(frames.len(), MAX_FRAMED_BYTES) {
        append(&[0; LARGEST], &mut frames);
        count += 1;
    }
    // Exactly the rest, and no byte more.
    let left = MAX_FRAMES_BYTES - count * (LARGEST + HEADER_BYTES) - HEADER_BYTES;
    let left = u32::try_from(left).unwrap();
    assert!(fits(frames.len(), left) && !fits(frames.len(), left + 1));
    append(&vec![0; left as usize], &mut frames);
    assert!(!fits(frames.len(), 0));
    assert_eq!((frames.len(), count), (16 * 1024, 3));
}

#[test]
fn a_lone_message_needs_no_frame() {
    for message in MESSAGES {
        let mut frames = Vec::new();
        append(message, &mut frames);
        assert_eq!(only(&frames), message);
    }
}

/// The C-core delivers none of these. On a channel without the patch's argument a message has no
/// header, and its content must not become an allocation of gigabytes.
#[test]
fn what_is_no_sequence_of_frames_is_an_error() {
    for bad in [
        &[0][..],
        &[0, 0, 0, 0],
        &[0, 0, 0, 0, 2, 1],
        &[0, 0xff, 0xff, 0xff, 0xff, 1],
        &[1, 0, 0, 0, 1, 1],
        &[0x0a, 0, 0, 0, 1, 1],
    ] {
        let mut frames = frames(&[bad]);
        assert!(frames.next(bytes).unwrap().is_err(), "{bad:?}");
        assert!(frames.next(bytes).is_none());
    }
}

const METHOD: Method<super::super::codec::Raw<StringValue>, Encoded<StringValue>> =
    server_streaming("/test.Frames/Many");

/// A server that joins messages, and a client that counts what the C-core delivers at once.
#[test]
fn messages_reach_a_client_together() {
    const MANY: usize = 5_000;
    let workers = Workers::new(WorkersConfig::default()).unwrap();
    let streams = Streams::new(workers, StreamsConfig::default());
    let env = Arc::new(Environment::new(1));
    assert!(are_supported());
    let framed = streams.framed();
    let service = ServiceBuilder::new()
        .add_server_streaming_handler(&METHOD, move |ctx, _, sink| {
            framed.serve_encoded(&ctx, sink, |_| {
                let message = |n: usize| {
                    let mut message = StringValue::new();
                    message.set_value(n.to_string());
                    Encoded::new(&message)
                };
                Ok(Jobs::from(Job::now((0..MANY).map(message))))
            });
        })
        .build();
    let args = ChannelBuilder::new(env.clone()).raw_cfg_int(FRAMED_MESSAGES.into(), 1);
    let mut server = ServerBuilder::new(env.clone())
        .channel_args(args.build_args())
        .requests_slot_per_cq(1)
        .register_service(service)
        .build()
        .unwrap();
    let port = server.add_listening_port("127.0.0.1:0", ServerCredentials::insecure());
    server.start();
    let channel = ChannelBuilder::new(Arc::new(Environment::new(1)))
        .raw_cfg_int(FRAMED_MESSAGES.into(), 1)
        .connect(&format!("127.0.0.1:{}", port.unwrap()));
    let method = Method {
        ty: MethodType::ServerStreaming,
        name: METHOD.name,
        req_mar: Marshaller {
            ser: grpcio::pb_ser::<StringValue>,
            de: grpcio::pb_de,
        },
        resp_mar: Marshaller {
            ser: |_, _| unreachable!(),
            de: Frames::receive,
        },
    };
    let options = CallOption::default()
        .timeout(super::super::testing::DEADLINE)
        .write_flags(WriteFlags::default().force_no_compress(true));
    let client = Client::new(channel);
    let deliveries = client
        .server_streaming(&method, &StringValue::new(), options)
        .unwrap();
    let (mut count, mut messages) = (0, Vec::new());
    for delivery in block_on_stream(deliveries) {
        let mut frames = delivery.unwrap();
        assert!(!frames.is_empty() && frames.encoded_len() <= 16 * 1024);
        while let Some(message) = frames.next(grpcio::pb_de::<StringValue>) {
            messages.push(message.unwrap().value);
        }
        count += 1;
    }
    assert!(messages.into_iter().eq((0..MANY).map(|n| n.to_string())));
    assert!(count < MANY / 2, "{count} deliveries");
    // Metrics count messages, not joins.
    let methods = streams.snapshot().methods;
    let bytes = (0..MANY).map(|n| 2 + n.to_string().len() as u64).sum();
    let sent = |method: &super::super::stats::MethodSnapshot| (method.messages, method.bytes);
    assert_eq!(
        methods.iter().map(sent).collect::<Vec<_>>(),
        [(MANY as u64, bytes)]
    );
}
