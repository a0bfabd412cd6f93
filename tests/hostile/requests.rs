//! Clients whose requests are never complete, too large, or harm the next ones.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use grpcio::{
    Channel, ChannelBuilder, CompressionAlgorithms, Environment, RpcStatusCode, ServerBuilder,
    ServerCredentials, ServiceBuilder,
};
use rstest::rstest;

use super::{alone, server};
use crate::common::attack::{calls, calls_until, growth_during, memory, Latencies, GOOD, MB};
use crate::common::http2::{
    continuation, data, field, Http2, INDEXED, PLAIN, REFUSED_STREAM, REQUEST,
};
use crate::common::server::{raw_method, send_raw, FETCH};

/// Without the patches, 128 such calls block the server for all clients.
#[rstest]
#[case::headers_alone(&[])]
#[case::half_a_request(&REQUEST[..6])]
fn half_open_calls(#[case] part: &[u8]) {
    let _alone = alone();
    let server = server(&[]);
    let channel = server.channel();
    let usual = calls(&channel, 500);
    let before = memory(&server);
    let attack = || {
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = Http2::connect(&server.address, FETCH, true).unwrap();
            let mut frames = Vec::new();
            for _ in 0..1000 {
                let call = client.open(&mut frames);
                if !part.is_empty() {
                    data(&mut frames, call, part, false);
                }
            }
            client.send(&frames).unwrap();
            clients.push(client);
        }
        // The server has read all of them before the calls are timed.
        calls(&channel, 50);
        // The best of three rounds excludes other load on this machine.
        let rounds = (0..3).map(|_| calls(&channel, 200));
        let meanwhile = rounds.min_by_key(Latencies::p99).unwrap();
        assert!(clients.iter().all(|client| !client.is_over()));
        meanwhile
    };
    let (meanwhile, growth) = growth_during(&server, attack);
    let more = growth / MB;
    println!("20,000 half-open calls: {more} MB more; calls {usual}; meanwhile {meanwhile}");
    // Twice as slow at most, plus tolerance for a busy machine.
    assert!(
        meanwhile.p99() < usual.p99() * 2 + Duration::from_millis(10),
        "{meanwhile}"
    );
    // 10 KB each.
    assert!(growth < 300 * MB, "{more} MB");
    // The memory is freed after the clients disconnect.
    let deadline = Instant::now() + Duration::from_secs(30);
    while memory(&server) > before + 50 * MB {
        let kept = (memory(&server) - before) / MB;
        assert!(Instant::now() < deadline, "{kept} MB kept");
        calls(&channel, 50);
    }
}

/// Calls that wait for the application are bounded. Without the patch none of them is refused.
#[test]
fn pending_calls_are_bounded() {
    let _alone = alone();
    let method = raw_method(FETCH);
    let service = ServiceBuilder::new()
        .add_server_streaming_handler(&method, |_, _, _| {})
        .build();
    let poll = Arc::new(Environment::new(1));
    let args = ChannelBuilder::new(poll.clone())
        .raw_cfg_int(c"grpc.server.max_pending_requests".into(), 5)
        .build_args();
    // The server accepts one call, and no other before it has the request.
    let mut server = ServerBuilder::new(poll)
        .channel_args(args)
        .requests_slot_per_cq(1)
        .register_service(service)
        .build()
        .unwrap();
    let port = server
        .add_listening_port("127.0.0.1:0", ServerCredentials::insecure())
        .unwrap();
    server.start();

    let mut client = Http2::connect(&format!("127.0.0.1:{port}"), FETCH, true).unwrap();
    let mut frames = Vec::new();
    let calls: Vec<u32> = (0..50).map(|_| client.open(&mut frames)).collect();
    client.send(&frames).unwrap();
    for &refused in &calls[6..] {
        let trailers = client.ending(refused).trailers;
        assert!(contains(&trailers, b"grpc-status\x018"), "{trailers:?}");
    }
    let endings = client.endings();
    assert!(calls[..6].iter().all(|call| !endings.contains_key(call)));
}

/// The limits apply to a client that never acknowledges the server's SETTINGS. Without the patches
/// all 100 calls are open, and headers may have 16 MiB.
#[test]
fn settings_apply_before_their_acknowledgement() {
    let _alone = alone();
    let server = server(&["--max-streams-per-connection", "10"]);
    let mut client = Http2::connect(&server.address, FETCH, false).unwrap();
    let mut frames = Vec::new();
    let calls: Vec<u32> = (0..100).map(|_| client.open(&mut frames)).collect();
    client.send(&frames).unwrap();
    for &refused in &calls[10..] {
        assert_eq!(client.ending(refused).reset, Some(REFUSED_STREAM));
    }
    assert!(calls[..10]
        .iter()
        .all(|call| !client.endings().contains_key(call)));

    let mut client = Http2::connect(&server.address, FETCH, false).unwrap();
    let mut large = Vec::new();
    field(&mut large, PLAIN, "x-large", &"x".repeat(15_000));
    let mut frames = Vec::new();
    let call = client.open_in_parts(&mut frames, &[large.clone(), large.clone(), large]);
    data(&mut frames, call, REQUEST, true);
    client.send(&frames).unwrap();
    let trailers = client.ending(call).trailers;
    assert!(contains(&trailers, b"grpc-status\x018"), "{trailers:?}");
}

/// Endless headers are parsed but not kept. Without the patches the server reads ahead without a
/// bound: up to 430 MB of 3 GB.
#[test]
fn endless_headers() {
    let _alone = alone();
    let server = server(&[]);
    let channel = server.channel();
    let mut client = Http2::connect(&server.address, FETCH, true).unwrap();
    let mut frames = Vec::new();
    let call = client.open_without_end(&mut frames);
    let mut fields = Vec::new();
    for n in 0..16 {
        field(&mut fields, INDEXED, &format!("x-{n}"), &"x".repeat(1000));
    }
    for _ in 0..64 {
        continuation(&mut frames, call, &fields);
    }
    client.send(&frames).unwrap();
    let mut frames = Vec::new();
    for _ in 0..64 {
        continuation(&mut frames, call, &fields);
    }
    let (_, growth) = growth_during(&server, || {
        for _ in 0..256 {
            // The server may close the connection.
            if client.send(&frames).is_err() {
                break;
            }
        }
    });
    assert!(growth < 30 * MB, "{} MB", growth / MB);
    calls(&channel, 10);
}

/// A call with these fields fails. A later call of the same connection, whose fields are the usual
/// six and `reference`, must not: behind a proxy it is another client's.
///
/// The last of the fields that is `INDEXED` is entry 62 of HPACK's table; 63 to 68 are the six.
#[track_caller]
fn assert_hpack_table_intact(fields: &[u8], reference: &[u8]) {
    let server = server(&[]);
    let mut client = Http2::connect(&server.address, FETCH, true).unwrap();
    let mut frames = Vec::new();
    // The six fields of every call are in the table from here on.
    let first = client.open(&mut frames);
    data(&mut frames, first, REQUEST, true);
    let bad = client.open_with(&mut frames, fields);
    client.send(&frames).unwrap();
    client.ending(bad);
    let mut block: Vec<u8> = (0..6).map(|n| 0x80 | (68 - n)).collect();
    block.extend(reference);
    let mut frames = Vec::new();
    let good = client.open_block(&mut frames, &block);
    data(&mut frames, good, REQUEST, true);
    client.send(&frames).unwrap();
    let ending = client.ending(good);
    assert!(!contains(&ending.trailers, b"grpc-status"), "{ending:?}");
    assert_eq!(ending.reset, None);
}

/// CVE-2024-7246: a bad field must not corrupt entries that the same headers add to HPACK's table,
/// because later calls refer to them.
#[test]
fn a_bad_field_leaves_the_hpack_table_intact() {
    let _alone = alone();
    let mut fields = Vec::new();
    field(&mut fields, PLAIN, "bad name", "x");
    field(&mut fields, INDEXED, "x-good", "x");
    assert_hpack_table_intact(&fields, &[0x80 | 62]);
}

/// The same for a known name with an unknown value: later fields can take the name from the table.
#[test]
fn a_bad_value_leaves_the_hpack_table_intact() {
    let _alone = alone();
    let mut fields = Vec::new();
    field(&mut fields, INDEXED, "grpc-encoding", "unknown");
    let mut reference = vec![INDEXED | 62, "gzip".len() as u8];
    reference.extend(b"gzip");
    assert_hpack_table_intact(&fields, &reference);
}

/// Without the patches the server buffers each request before it checks the size: 100 MB more.
#[test]
fn an_oversized_request_is_refused_unread() {
    let _alone = alone();
    let server = server(&[]);
    let channel = server.channel();
    let (others, growth) = growth_during(&server, || {
        let send = |channel: Channel| {
            let (_, status) = send_raw(&channel, FETCH, vec![0; 25 * MB as usize]);
            assert_eq!(status.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
            let message = status.message();
            assert!(message.contains("(26214400 vs. 4096)"), "{message}");
        };
        thread::scope(|scope| {
            let attacks: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..10).for_each(|_| send(server.channel()))))
                .collect();
            let is_over = |_| attacks.iter().all(|attack| attack.is_finished());
            // Each of them succeeds.
            calls_until(&channel, is_over)
        })
    });
    println!("others beside 40 requests of 25 MB: {others}");
    assert!(growth < 20 * MB, "{} MB", growth / MB);
    calls(&channel, 10);
}

/// Without the patches each piece takes a slice of its own: 100 MB more.
#[test]
fn requests_in_pieces_of_one_byte_take_little_more_than_their_bytes() {
    /// Fits into the first window of a connection.
    const BYTES: u32 = 60_000;
    let _alone = alone();
    let server = server(&["--max-request-bytes", "1MiB"]);
    let channel = server.channel();
    let mut frames = Vec::new();
    let size = (BYTES + 1).to_be_bytes();
    data(&mut frames, 1, &[&[0], &size[..]].concat(), false);
    (0..BYTES).for_each(|_| data(&mut frames, 1, &[0x78], false));
    let (clients, growth) = growth_during(&server, || {
        let clients = (0..40).map(|_| {
            let mut client = Http2::connect(&server.address, FETCH, true).unwrap();
            let mut first = Vec::new();
            assert_eq!(client.open(&mut first), 1);
            client.send(&[&first, &frames[..]].concat()).unwrap();
            client
        });
        let clients: Vec<_> = clients.collect();
        // The server has read all of them before it answers the last calls.
        calls(&channel, 100);
        clients
    });
    assert!(clients.iter().all(|client| !client.is_over()));
    println!(
        "{} MB more for {} MB",
        growth / MB,
        40 * u64::from(BYTES) / MB
    );
    assert!(growth < 30 * MB, "{} MB", growth / MB);
}

/// Without the patches it is 128 MB more.
#[test]
fn a_compressed_request_is_limited_when_decompressed() {
    let _alone = alone();
    let server = server(&["--max-request-bytes", "512KiB"]);
    let poll = Arc::new(Environment::new(1));
    let gzip = CompressionAlgorithms::GRPC_COMPRESS_GZIP;
    let builder = ChannelBuilder::new(poll).default_compression_algorithm(gzip);
    let channel = server.setup.connect(builder, &server.address);
    let ((_, status), growth) = growth_during(&server, || {
        // 128 KiB as gzip.
        send_raw(&channel, FETCH, vec![0; 128 * MB as usize])
    });
    assert_eq!(status.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
    assert!(growth < 20 * MB, "{} MB", growth / MB);
    // A small one is decompressed.
    let mut small = vec![0x7a, 0x80, 0x08];
    small.resize(3 + 1024, 0);
    small.extend_from_slice(GOOD);
    let (_, status) = send_raw(&channel, FETCH, small);
    assert_eq!(status.code(), RpcStatusCode::OK);
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
