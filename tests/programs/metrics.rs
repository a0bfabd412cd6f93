//! Metrics, health and readiness pages of the `server` binary, and the dashboard.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;

use crate::common::http::{connect, get, send, Reply};
use crate::common::process::eventually;
use crate::common::server::{send_raw, server, TestServer, FETCH};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use grpcio::RpcStatusCode;
use rstest::rstest;

const LABELS: &str = r#"grpc_type="server_stream",grpc_service="protobuf.StreamService",grpc_method="FetchResponse""#;

/// A server and the address of its metrics.
struct Watched {
    server: TestServer,
    metrics: String,
}

impl Watched {
    #[track_caller]
    fn start(transport: Transport, flags: &[&str]) -> Watched {
        let all = ["--metrics", "127.0.0.1:0"].iter().chain(flags);
        let server = TestServer::start(transport, &all.copied().collect::<Vec<_>>());
        let metrics = server.process.line();
        Watched {
            metrics: metrics.strip_prefix("metrics on ").unwrap().into(),
            server,
        }
    }

    #[track_caller]
    fn scrape(&self) -> String {
        let Reply { status, head, body } = get(&self.metrics, "/metrics");
        assert_eq!(status, 200);
        assert!(head.contains("Content-Type: application/openmetrics-text; version=1.0.0"));
        body
    }

    /// The value of a sample, by name and labels.
    #[track_caller]
    fn sample(&self, name: &str, labels: &str) -> f64 {
        let value = value(&self.scrape(), name, labels);
        value.unwrap_or_else(|| panic!("no {name} {{{labels}}}"))
    }

    /// Waits for a value; the server caches each page for 50 ms.
    #[track_caller]
    fn eventually(&self, name: &str, labels: &str, holds: impl Fn(f64) -> bool) {
        let seen = || value(&self.scrape(), name, labels);
        eventually(|| seen().filter(|value| holds(*value)).map(drop));
    }
}

fn value(text: &str, name: &str, labels: &str) -> Option<f64> {
    let series = match labels {
        "" => format!("{name} "),
        labels => format!("{name}{{{labels}}} "),
    };
    let line = text.lines().find_map(|line| line.strip_prefix(&series))?;
    Some(line.parse().unwrap())
}

fn with_code(code: &str) -> String {
    format!("{LABELS},grpc_code=\"{code}\"")
}

#[rstest]
fn calls_are_counted_under_the_standard_names(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let watched = Watched::start(
        transport,
        &["--responses", "7", "--step", "0s", "--size", "100"],
    );
    assert_eq!(watched.sample("grpc_server_started_total", LABELS), 0.0);
    let client = watched.server.client(&["--id", "1,2,3", "--quiet"]).end();
    assert_eq!(client.code, Some(0));
    watched.eventually("grpc_server_handled_total", &with_code("OK"), |n| n == 3.0);
    for (name, value) in [
        ("grpc_server_started_total", 3.0),
        ("grpc_server_msg_received_total", 3.0),
        ("grpc_server_msg_sent_total", 21.0),
        // A tag, a length, and the text.
        ("fanstream_sent_bytes_total", 21.0 * 102.0),
        ("grpc_server_handling_seconds_count", 3.0),
        ("fanstream_first_response_seconds_count", 3.0),
        ("fanstream_open_streams", 0.0),
        ("fanstream_channel_slots", 0.0),
    ] {
        assert_eq!(watched.sample(name, LABELS), value, "{name}");
    }
    assert!(watched.sample("grpc_server_handling_seconds_sum", LABELS) > 0.0);
    assert!(watched.sample("fanstream_worker_queue_delay_seconds_count", "") > 0.0);
    assert!(watched.sample("process_resident_memory_bytes", "") > 1e6);
}

#[rstest]
fn a_running_stream_is_counted(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let flags = ["--responses", "1000000", "--step", "0s", "--size", "64KiB"];
    let watched = Watched::start(transport, &flags);
    // Nothing reads its output after the first line, so it stalls.
    let mut client = watched.server.client(&["--format", "text"]);
    client.line();
    watched.eventually("fanstream_open_streams", LABELS, |n| n == 1.0);
    watched.eventually("grpc_server_msg_sent_total", LABELS, |n| n > 1.0);
    watched.eventually("fanstream_send_stalls_total", LABELS, |n| n >= 1.0);
    let sent = watched.sample("grpc_server_msg_sent_total", LABELS);
    let bytes = watched.sample("fanstream_sent_bytes_total", LABELS);
    assert!(bytes >= sent * 65536.0);
    let first = "fanstream_first_response_seconds_count";
    assert_eq!(watched.sample(first, LABELS), 1.0);
    assert_eq!(
        watched.sample("grpc_server_handled_total", &with_code("OK")),
        0.0
    );
    client.close_output();
    drop(client);
    watched.eventually("grpc_server_handled_total", &with_code("Canceled"), |n| {
        n == 1.0
    });
    assert!(watched.sample("grpc_server_msg_sent_total", LABELS) >= sent);
    assert_eq!(watched.sample("fanstream_open_streams", LABELS), 0.0);
    assert_eq!(watched.sample("fanstream_parked_producers", LABELS), 0.0);
}

#[rstest]
fn a_stalled_reader_is_visible(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let flags = ["--responses", "1000000", "--step", "0s", "--size", "64KiB"];
    let watched = Watched::start(transport, &flags);
    let channel = watched.server.channel();
    // A stream that is never polled accepts no more than its window.
    let stub = fanstream::proto::stream_grpc::StreamServiceClient::new(channel);
    let stalled = stub.fetch_response(&Default::default()).unwrap();
    watched.eventually("fanstream_parked_producers", LABELS, |n| n == 1.0);
    watched.eventually("fanstream_channel_slots", LABELS, |n| n > 0.0);
    drop(stalled);
    watched.eventually("fanstream_parked_producers", LABELS, |n| n == 0.0);
    watched.eventually("fanstream_open_streams", LABELS, |n| n == 0.0);
    assert_eq!(watched.sample("fanstream_channel_slots", LABELS), 0.0);
}

#[rstest]
fn refused_calls_are_counted_by_reason(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    std::fs::write(&tokens, "known\n").unwrap();
    let tokens = tokens.to_str().unwrap();
    let flags = ["--max-streams", "1", "--step", "1h", "--token-file", tokens];
    let watched = Watched::start(transport, &flags);
    let (_, status) = send_raw(&watched.server.channel(), FETCH, Vec::new());
    assert_eq!(status.code(), RpcStatusCode::UNAUTHENTICATED);
    let refused = "fanstream_refused_calls_total";
    assert_eq!(watched.sample(refused, r#"reason="token""#), 1.0);

    // Avoids the warning about a token in the clear.
    let token = ["-H", "authorization: Bearer known"];
    let first = watched.server.client(&token);
    watched.eventually("fanstream_open_streams", LABELS, |n| n == 1.0);
    let second = watched.server.client(&token).end();
    assert_eq!(second.code, Some(5));
    watched.eventually(refused, r#"reason="max_streams""#, |n| n == 1.0);
    let exhausted = with_code("ResourceExhausted");
    assert_eq!(watched.sample("grpc_server_handled_total", &exhausted), 1.0);
    drop(first);
}

#[rstest]
fn an_exceeded_deadline_is_counted(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let watched = Watched::start(transport, &["--step", "1h"]);
    let client = watched.server.client(&["--timeout", "300ms"]).end();
    assert_eq!(client.code, Some(4));
    watched.eventually("fanstream_open_streams", LABELS, |n| n == 0.0);
    // The client's cancellation may arrive before the server's own deadline.
    let [late, gone] = ["DeadlineExceeded", "Canceled"].map(with_code);
    let ended = |code: &str| watched.sample("grpc_server_handled_total", code);
    assert_eq!(ended(&late) + ended(&gone), 1.0);
}

#[test]
fn every_family_has_help_and_a_type_and_is_contiguous() {
    let watched = Watched::start(Clear, &["--step", "0s"]);
    watched.server.client(&[]).end();
    let text = watched.scrape();
    let body = text.strip_suffix("# EOF\n").expect("the end");
    let mut families = BTreeSet::new();
    let mut family = ("", "");
    for line in body.lines() {
        if let Some(line) = line.strip_prefix("# TYPE ") {
            family = line.split_once(' ').unwrap();
            assert!(families.insert(family.0), "{} comes twice", family.0);
        } else if !line.starts_with('#') {
            let (name, _) = line.split_once(['{', ' ']).unwrap();
            let suffixes: &[&str] = match family.1 {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_bucket", "_sum", "_count"],
                "info" => &["_info"],
                other => panic!("{other}"),
            };
            let suffix = name.strip_prefix(family.0).unwrap_or("of another family");
            assert!(suffixes.contains(&suffix), "{line}");
        }
    }
    assert!(body.contains("le=\"+Inf\""));
    assert!(families.contains("grpc_server_handled"));
}

#[test]
fn the_dashboard_uses_only_exported_metrics() {
    let printed = server(["--print-dashboard"]).end();
    assert_eq!(printed.code, Some(0));
    let dashboard: serde_json::Value = serde_json::from_str(&printed.output.join("\n")).unwrap();
    let mut queries = Vec::new();
    strings_of("expr", &dashboard, &mut queries);
    strings_of("query", &dashboard, &mut queries);
    assert!(queries.len() > 20);

    let watched = Watched::start(Clear, &["--max-streams", "1", "--step", "1h"]);
    let _open = watched.server.client(&[]);
    watched.eventually("fanstream_open_streams", LABELS, |n| n == 1.0);
    watched.server.client(&[]).end();
    let refused = r#"reason="max_streams""#;
    watched.eventually("fanstream_refused_calls_total", refused, |n| n == 1.0);
    let text = watched.scrape();
    let names: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let mut asked: BTreeSet<&str> = BTreeSet::new();
    for query in &queries {
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.contains('_') && !word.starts_with('_')) {
            let label = text.contains(&format!("{word}=\""));
            let function = ["histogram_quantile", "label_values"].contains(&word);
            assert!(
                names.contains(word) || label || function,
                "`{word}` of `{query}`"
            );
            asked.extend(names.get(word));
        }
    }
    // It shows the metrics of streams.
    for name in &names {
        let family = name.trim_end_matches("_count").trim_end_matches("_sum");
        let shown = asked.iter().any(|asked| asked.starts_with(family));
        let elsewhere = ["fanstream_build_info", "fanstream_tasks_scheduled"];
        let known = elsewhere.contains(name) || !name.starts_with("fanstream_");
        assert!(shown || known, "{name} is not on the dashboard");
    }
}

fn strings_of<'a>(key: &str, value: &'a serde_json::Value, found: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::Object(fields) => {
            found.extend(fields.get(key).and_then(|value| value.as_str()));
            let inner = fields.values();
            inner.for_each(|value| strings_of(key, value, found));
        }
        serde_json::Value::Array(items) => {
            items.iter().for_each(|value| strings_of(key, value, found));
        }
        _ => {}
    }
}

#[test]
fn only_health_readiness_and_metrics_have_pages() {
    let watched = Watched::start(Clear, &["--step", "1h", "--grace", "1h"]);
    let status = |path| get(&watched.metrics, path).status;
    assert_eq!(status("/healthz"), 200);
    assert_eq!(status("/readyz"), 200);
    assert_eq!(status("/"), 404);
    let post = send(
        &watched.metrics,
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    );
    assert_eq!(post.status, 405);
    assert!(post.head.contains("\r\nAllow: GET, HEAD\r\n"), "{post:?}");
    assert_eq!(send(&watched.metrics, "no HTTP at all\r\n\r\n").status, 400);

    // A draining server is healthy but not ready.
    let _open = watched.server.client(&[]);
    watched.eventually("fanstream_open_streams", LABELS, |n| n == 1.0);
    watched.server.process.signal("-TERM");
    eventually(|| (status("/readyz") == 503).then_some(()));
    assert_eq!(status("/healthz"), 200);
    assert_eq!(watched.sample("fanstream_open_streams", LABELS), 1.0);
}

#[test]
fn silent_http_clients_do_not_block_others() {
    let watched = Watched::start(Clear, &[]);
    let threads = || watched.sample("process_threads", "");
    let before = threads();
    let mut idle: Vec<_> = (0..200).map(|_| connect(&watched.metrics)).collect();
    for slow in &mut idle {
        // The server may have closed it already.
        let _ = slow.write_all(b"GET /metr");
    }
    assert!(
        threads() <= before + 60.0,
        "{} threads, {before} before",
        threads()
    );
    // The server closed the oldest connections beyond the limit.
    let mut rest = String::new();
    assert!(matches!(idle[0].read_to_string(&mut rest), Ok(0) | Err(_)));
}

#[test]
fn a_metrics_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let flags = ["--listen", "127.0.0.1:0", "--metrics", &address];
    let ended = server(flags).end();
    assert_eq!(ended.code, Some(3));
    assert!(ended.errors[0].contains("--metrics"), "{:?}", ended.errors);
    assert!(ended.errors[0].contains(&address), "{:?}", ended.errors);
}
