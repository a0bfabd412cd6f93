//! Streams of messages of all sizes, whole and in order, between servers and clients with frames
//! (the patch `0010-framed-messages`) and without.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fanstream::address::Address;
use fanstream::client::{Client, ClientThreads, ResponseStream};
use fanstream::engine::codec::method;
use fanstream::engine::{receive, Capacity, Job, Jobs, ReceiveError, ReceiveTimeouts};
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::create_stream_service;
use fanstream::server::{Server, ServerConfig, Service};
use fanstream::Status;
use grpcio::{
    channelz, CallOption, ChannelBuilder, Environment, Marshaller, MessageReader, Method,
    MethodType,
};
use protobuf::Message;
use rstest::rstest;
use serde_json::Value;

use super::{builder, client, count, local, request, response, COUNT, SECOND};
use crate::common::in_process::InProcess;
use crate::common::process::eventually;
use crate::common::transport::Transport::{self, MutualTls, Tls};

const MIXED: Method<Request, Response> = method(MethodType::ServerStreaming, "/test.Mixed/Mixed");

/// Encoded sizes around the limits of joining, and of the frames that a client takes at once.
const SIZES: [usize; 9] = [
    0,
    16,
    200,
    201,
    4_096,
    4_097,
    16 * 1024 - 5,
    16 * 1024,
    100_000,
];

const PRODUCERS: i32 = 3;
const MESSAGES: u64 = 400;

const TIMEOUTS: ReceiveTimeouts = ReceiveTimeouts {
    first: Some(Duration::from_secs(30)),
    idle: Some(Duration::from_secs(30)),
};

/// The messages of a producer, the same each time. Most are tiny, so that they are joined.
fn messages(producer: i32) -> impl Iterator<Item = Response> {
    let mut random = fastrand::Rng::with_seed(producer as u64);
    (0..MESSAGES).map(move |n| {
        let size = match random.u8(..10) {
            0 => SIZES[random.usize(..SIZES.len())],
            _ => random.usize(16..40),
        };
        if size == 0 {
            return Response::default();
        }
        sized(response(format!("{producer}:{n}:")), size)
    })
}

/// The message, extended to `size` bytes if it is smaller.
fn sized(mut message: Response, size: usize) -> Response {
    // The length of a long text takes up to three bytes.
    while (message.compute_size() as usize) < size {
        let missing = size - message.compute_size() as usize;
        let text = message.mut_result();
        text.extend(std::iter::repeat_n('x', missing.saturating_sub(4).max(1)));
    }
    assert!(message.compute_size() as usize == size || size < 40);
    message
}

fn mixed() -> Service {
    Service::new().server_streaming(&MIXED, |_, _: Request| {
        let jobs = (0..PRODUCERS).map(|producer| Job::now(messages(producer).map(Ok)));
        Ok(Jobs::from(jobs.collect::<Vec<_>>()))
    })
}

/// Checks that the messages of all producers have arrived, those of each in order. An empty message
/// tells no producer.
#[track_caller]
fn check(responses: impl Iterator<Item = Result<Response, ReceiveError>>, pause: Duration) {
    let mut received: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    let mut empty = 0;
    for (n, response) in responses.enumerate() {
        let text = response.unwrap().result;
        match text.split_once(':') {
            Some((producer, _)) => {
                let producer = producer.parse().unwrap();
                received.entry(producer).or_default().push(text);
            }
            None => empty += 1,
        }
        if n % 50 == 0 {
            thread::sleep(pause); // the reader's speed, not a wait
        }
    }
    let mut expected_empty = 0;
    for producer in 0..PRODUCERS {
        let all = messages(producer).map(|message| message.result);
        let (none, expected): (Vec<_>, Vec<_>) = all.partition(String::is_empty);
        expected_empty += none.len();
        let received = received.remove(&producer).unwrap_or_default();
        let first_wrong = expected.iter().zip(&received).find(|(a, b)| a != b);
        assert!(first_wrong.is_none(), "{:.50?}", first_wrong);
        assert_eq!(received.len(), expected.len());
    }
    assert!(empty == expected_empty && empty > 0, "{empty}");
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Joins,
    Generated,
    Gzip,
}

/// A server with the service, configured so that it joins messages or not.
fn server(kind: Kind) -> Server {
    let config = ServerConfig {
        gzip: matches!(kind, Kind::Gzip),
        ..ServerConfig::default()
    };
    let mut builder = Server::builder().config(config).listen(local());
    if matches!(kind, Kind::Generated) {
        builder = builder.add_service(Service::generated("protobuf.StreamService", |_| {
            create_stream_service(super::serving::Generated)
        }));
    }
    builder.add_service(mixed()).start().unwrap()
}

fn address(server: &Server) -> String {
    server.bound()[0].address.to_string()
}

fn mixed_over(client: &Client) -> ResponseStream<Response> {
    client.call(&MIXED, request(1))
}

const SLOW: Duration = Duration::from_millis(2);

#[rstest]
fn all_messages_arrive(
    #[values(Kind::Joins, Kind::Generated, Kind::Gzip)] kind: Kind,
    #[values(false, true)] compressed_requests: bool,
    #[values(Duration::ZERO, SLOW)] pause: Duration,
) {
    let server = server(kind);
    // Without compressed requests it receives frames.
    let client = Client::builder(server.address())
        .timeouts(TIMEOUTS)
        .gzip(compressed_requests && matches!(kind, Kind::Gzip))
        .capacity(if pause.is_zero() {
            Capacity::default()
        } else {
            Capacity::messages(1)
        })
        .connect()
        .unwrap();
    check(mixed_over(&client), pause);
    let sent = &server.streams().snapshot().methods;
    let sent = sent.iter().find(|m| m.name.contains("Mixed")).unwrap();
    let all = (0..PRODUCERS).flat_map(messages);
    let (count, bytes) = all.fold((0, 0), |(n, bytes), message| {
        (n + 1, bytes + u64::from(message.compute_size()))
    });
    assert_eq!((sent.messages, sent.bytes), (count, bytes));
}

#[rstest]
fn all_messages_arrive_over_tls(#[values(Tls, MutualTls)] transport: Transport) {
    let server = InProcess::start_with(transport, &[], |builder| builder.add_service(mixed()));
    check(
        mixed_over(&server.client(&server.address, &[])),
        Duration::ZERO,
    );
}

/// The windows of HTTP/2 end within messages and frames.
#[rstest]
fn a_client_without_frames_and_with_small_windows(
    #[values(None, Some(1_000), Some(17_000))] window: Option<i32>,
    #[values(false, true)] frames: bool,
    #[values(Duration::ZERO, SLOW)] pause: Duration,
) {
    let server = server(Kind::Joins);
    let adjust = move |builder: ChannelBuilder| match window {
        Some(window) => builder
            .stream_initial_window_size(window)
            .raw_cfg_int(c"grpc.http2.bdp_probe".into(), 0),
        None => builder,
    };
    if frames {
        let builder = Client::builder(address(&server)).timeouts(TIMEOUTS);
        let client = builder.channel_args(adjust).connect().unwrap();
        return check(mixed_over(&client), pause);
    }
    let builder = ChannelBuilder::new(Arc::new(Environment::new(1))).max_receive_message_len(-1);
    let channel = adjust(builder)
        .use_local_subchannel_pool(true)
        .connect(&address(&server));
    let client = grpcio::Client::new(channel);
    let stream = client.server_streaming(&MIXED, &request(1), CallOption::default());
    check(
        receive(&client, stream.unwrap(), Capacity::default(), TIMEOUTS),
        pause,
    );
}

#[test]
fn two_clients_share_a_poll_thread() {
    let servers = [server(Kind::Joins), server(Kind::Joins)];
    let threads = ClientThreads::new(1).unwrap();
    let clients = servers.each_ref().map(|server| {
        let builder = Client::builder(address(server)).timeouts(TIMEOUTS);
        builder.threads(&threads).connect_lazy().unwrap()
    });
    drop(threads);
    thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| check(mixed_over(client), Duration::ZERO));
        }
    });
    // The first client's end leaves the thread to the other.
    let [first, second] = clients;
    drop(first);
    check(mixed_over(&second), Duration::ZERO);
}

/// Decodes all but the tenth response, at which it fails, or panics.
const FAILS: Method<Request, Response> = decoding(|reader| match grpcio::pb_de(reader)? {
    Response { result, .. } if result == "10" => Err(grpcio::Error::Codec("as asked".into())),
    response => Ok(response),
});
const PANICS: Method<Request, Response> = decoding(|reader| {
    let response: Response = grpcio::pb_de(reader)?;
    assert_ne!(response.result, "10", "as asked");
    Ok(response)
});

const fn decoding(de: fn(MessageReader) -> grpcio::Result<Response>) -> Method<Request, Response> {
    Method {
        ty: MethodType::ServerStreaming,
        name: COUNT.name,
        req_mar: Marshaller {
            ser: grpcio::pb_ser,
            de: grpcio::pb_de,
        },
        resp_mar: Marshaller {
            ser: grpcio::pb_ser,
            de,
        },
    }
}

#[rstest]
#[case::an_error(&FAILS, "as asked")]
#[case::a_panic(&PANICS, "decoding a response panicked")]
fn a_decoder_that_fails(#[case] method: &Method<Request, Response>, #[case] why: &str) {
    let server = builder().add_service(count()).start().unwrap();
    let client = client(&server);
    let mut responses = client.call(method, request(1_000_000));
    for n in 0..10 {
        assert_eq!(responses.next().unwrap().unwrap().result, n.to_string());
    }
    match responses.next() {
        Some(Err(ReceiveError::Broken(error))) => {
            assert!(error.to_string().contains(why), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(responses.next().is_none() && !responses.is_ready());
    // The call is cancelled, and the client goes on.
    eventually(|| (server.streams().open() == 0).then_some(()));
    assert_eq!(super::texts(&client, 2), ["0", "1"]);
}

#[rstest]
fn a_call_that_ends_among_frames(#[values(false, true)] cancelled: bool) {
    let server = builder().add_service(count()).start().unwrap();
    let client = client(&server);
    let mut responses = client.call(&COUNT, request(i32::MAX));
    for n in 0..10 {
        assert_eq!(responses.next().unwrap().unwrap().result, n.to_string());
    }
    if cancelled {
        responses.cancel();
        assert!(responses.next().is_none() && !responses.is_ready());
    } else {
        drop(responses);
    }
    eventually(|| (server.streams().open() == 0).then_some(()));
}

/// The whole call has arrived: each response is ready, and none waits for a timeout.
#[test]
fn responses_in_frames_are_ready() {
    let server = builder().add_service(count()).start().unwrap();
    let client = client(&server);
    let mut settings = client.call_settings();
    settings.timeouts.idle = Some(Duration::from_millis(1));
    let mut responses = client.call_with(&COUNT, request(100), settings);
    eventually(|| responses.status().is_some().then_some(()));
    for n in 0..100 {
        assert!(responses.is_ready(), "{n}");
        assert_eq!(responses.next().unwrap().unwrap().result, n.to_string());
    }
    assert!(!responses.is_ready() && responses.next().is_none());
}

#[test]
fn an_idle_timeout_counts_from_the_last_frame() {
    let service = Service::new().server_streaming(&COUNT, |call, request: Request| {
        let call = call.clone();
        let silent = std::iter::from_fn(move || {
            while !call.is_over() {
                thread::sleep(Duration::from_millis(5));
            }
            None::<Result<Response, Status>>
        });
        Ok((0..request.id).map(|n| Ok(response(n))).chain(silent))
    });
    let server = builder().add_service(service).start().unwrap();
    let client = client(&server);
    let mut settings = client.call_settings();
    settings.timeouts.idle = Some(SECOND / 4);
    let mut responses = client.call_with(&COUNT, request(50), settings);
    for n in 0..50 {
        assert_eq!(responses.next().unwrap().unwrap().result, n.to_string());
    }
    let end = responses.next();
    assert!(
        matches!(end, Some(Err(ReceiveError::IdleTimeout(_)))),
        "{end:?}"
    );
    eventually(|| (server.streams().open() == 0).then_some(()));
}

/// A client that does not read takes little more than the windows of HTTP/2 and its channel.
#[test]
fn a_client_that_does_not_read_is_bounded() {
    let server = builder().add_service(count()).start().unwrap();
    let client = client(&server);
    let mut settings = client.call_settings();
    settings.capacity = Capacity::messages(1);
    let mut responses = client.call_with(&COUNT, request(i32::MAX), settings);
    assert!(responses.next().unwrap().is_ok());
    let sent = || {
        let methods = server.streams().snapshot().methods;
        methods.iter().map(|method| method.bytes).sum::<u64>()
    };
    // It stands still for a quarter of a second.
    let mut last = (0, std::time::Instant::now());
    eventually(|| {
        if sent() != last.0 {
            last = (sent(), std::time::Instant::now());
        }
        (last.1.elapsed() > SECOND / 4).then_some(())
    });
    assert!(last.0 > 0 && last.0 < 8 << 20, "{} bytes", last.0);
}

/// The messages that the C-core sent over the connections to `port`, by channelz.
fn messages_sent(port: u16) -> u64 {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let ids = |list: &Value, at: &str| {
        let list = list.as_array().cloned().unwrap_or_default();
        let id = |item: Value| item.pointer(at)?.as_str()?.parse::<u64>().ok();
        list.into_iter().filter_map(id).collect::<Vec<_>>()
    };
    let servers = ids(&channelz::get_servers(0, json)["server"], "/ref/serverId");
    let sockets = servers.into_iter().flat_map(|server| {
        let sockets = channelz::get_server_sockets(server, 0, 100, json);
        ids(&sockets["socketRef"], "/socketId")
    });
    let sent = sockets.filter_map(|socket| {
        let socket = channelz::get_socket(socket, json);
        let socket = &socket["socket"];
        let local = socket.pointer("/local/tcpip_address/port")?.as_str()?;
        let sent = socket.pointer("/data/messagesSent")?.as_str()?;
        (local == port.to_string()).then(|| sent.parse::<u64>().unwrap())
    });
    sent.sum()
}

/// The server hands small messages to the C-core together, and large ones alone.
#[rstest]
#[case::tiny(10, true)]
#[case::the_largest_joined(4_096, true)]
#[case::larger(4_097, false)]
fn small_messages_leave_together(#[case] size: usize, #[case] together: bool) {
    const MESSAGES: u64 = 5_000;
    let service = Service::new().server_streaming(&COUNT, move |_, _: Request| {
        let message = sized(Response::default(), size);
        Ok((0..MESSAGES).map(move |_| Ok::<_, Status>(message.clone())))
    });
    let mut config = ServerConfig::default();
    config.services.channelz = true;
    let server = Server::builder().config(config).listen(local());
    let server = server.add_service(service).start().unwrap();
    let Address::Tcp { port, .. } = server.bound()[0].address else {
        panic!("no port");
    };
    let client = client(&server);
    assert_eq!(client.call(&COUNT, request(1)).count() as u64, MESSAGES);
    let sent = messages_sent(port);
    match together {
        // On a busy machine the writer may find only a few.
        true => assert!(sent > 0 && sent < MESSAGES * 2 / 3, "{sent}"),
        false => assert_eq!(sent, MESSAGES),
    }
}
