//! The log line and the span of each call of the `server` binary.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::common::collector::{spans, Collector};
use crate::common::process::Ended;
use crate::common::server::TestServer;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use rstest::rstest;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{PARENT}-{flags}")
}

#[track_caller]
fn stop(server: TestServer) -> Vec<String> {
    server.process.signal("-TERM");
    let Ended { code, errors, .. } = server.process.end();
    assert_eq!(code, Some(0));
    errors
}

#[track_caller]
fn calls_of(errors: &[String]) -> Vec<serde_json::Value> {
    let lines = errors
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines
        .filter(|line| line["target"] == "fanstream::calls")
        .collect()
}

#[rstest]
fn a_call_is_one_line_of_json(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "0s", "--log-format", "json"]);
    let header = traceparent("01");
    let client = server.client(&["--id", "7", "-H", &header]).end();
    assert_eq!(client.code, Some(0));
    let errors = stop(server);
    let calls = calls_of(&errors);
    let [call] = &calls[..] else {
        panic!("{errors:?}")
    };
    assert_eq!(call["level"], "INFO");
    assert_eq!(call["message"], "call ended");
    assert_eq!(call["call"], 1);
    assert_eq!(call["method"], "/protobuf.StreamService/FetchResponse");
    assert!(call["peer"]
        .as_str()
        .unwrap()
        .starts_with("ipv4:127.0.0.1:"));
    assert_eq!(call["id"], "7");
    assert_eq!(call["status"], "OK");
    assert_eq!(call["messages"], 5);
    assert_eq!(call["bytes"], 5 * "..Request #0 For Id:7".len());
    assert_eq!(call["trace_id"], TRACE);
    let ms = |name: &str| call[name].as_f64().unwrap();
    assert!(0.0 < ms("first_ms") && ms("first_ms") <= ms("duration_ms"));
    // The call has no other log lines.
    assert!(!errors.iter().any(|line| line.contains("request number")));
    assert!(!errors.iter().any(|line| line.contains("fetch response")));
}

#[rstest]
fn a_call_is_one_line_of_text(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "0s", "--log-format", "text"]);
    server.client(&["--id", "7,8"]).end();
    let errors = stop(server);
    let calls: Vec<_> = errors.iter().filter(|l| l.contains("call ended")).collect();
    assert_eq!(calls.len(), 2, "{errors:?}");
    for part in [
        "INFO fanstream::calls: call ended call=",
        "status=OK messages=5",
    ] {
        assert!(calls[0].contains(part), "{}", calls[0]);
    }
    assert!(!calls[0].contains("trace_id"), "{}", calls[0]);
    assert!(!errors.iter().any(|line| line.contains("request number")));
}

#[rstest]
fn a_malformed_traceparent_is_ignored(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "0s", "--log-format", "json"]);
    let client = server.client(&["-H", "traceparent: 00-1-2-01"]).end();
    assert_eq!(client.code, Some(0));
    assert!(calls_of(&stop(server))[0].get("trace_id").is_none());
}

#[rstest]
fn a_refused_call_is_logged_with_its_reason(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let flags = ["--step", "1h", "--max-streams", "1", "--log-format", "json"];
    let server = TestServer::start(transport, &[&flags[..], &["--grace", "0s"]].concat());
    // The second one to arrive is refused.
    let _clients = ["1", "2"].map(|id| server.client(&["--id", id]));
    let call = loop {
        let line = server.process.error_line();
        if let [call] = &calls_of(&[line])[..] {
            break call.clone();
        }
    };
    assert_eq!(call["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(call["refused"], "max_streams");
    assert_eq!(call["messages"], 0);
    assert!(call.get("first_ms").is_none());
}

#[test]
fn log_level_debug_adds_the_tutorials_log() {
    let flags = [
        "--step",
        "0s",
        "--log-format",
        "json",
        "--log-level",
        "debug",
    ];
    let server = TestServer::start(Clear, &flags);
    server.client(&[]).end();
    let errors = stop(server);
    assert!(errors.iter().any(|line| line.contains("request number")));
    assert!(errors.iter().any(|line| line.contains("call ended")));
}

fn attribute(span: &Span, key: &str) -> Value {
    let found = span.attributes.iter().find(|a| a.key == key);
    let value = found.and_then(|a| a.value.clone()?.value);
    value.unwrap_or_else(|| panic!("no {key} in {:?}", span.attributes))
}

#[rstest]
fn a_call_is_a_span_under_its_parent(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let collector = Collector::start();
    let flags = ["--step", "0s", "--otlp", &collector.url];
    let server = TestServer::start(transport, &flags);
    let header = traceparent("01");
    let client = server.client(&["--id", "7", "-H", &header]).end();
    assert_eq!(client.code, Some(0));
    stop(server);
    let (head, batch) = collector.batch();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert!(head.contains("application/x-protobuf"), "{head}");
    let spans = spans(&batch);
    let [span] = &spans[..] else {
        panic!("{spans:?}")
    };
    assert_eq!(span.name, "protobuf.StreamService/FetchResponse");
    assert_eq!(hex(&span.trace_id), TRACE);
    assert_eq!(hex(&span.parent_span_id), PARENT);
    assert_eq!(span.kind, 2); // a server's
    let text = |text: &str| Value::StringValue(text.into());
    assert_eq!(attribute(span, "rpc.system"), text("grpc"));
    assert_eq!(
        attribute(span, "rpc.service"),
        text("protobuf.StreamService")
    );
    assert_eq!(attribute(span, "rpc.method"), text("FetchResponse"));
    assert_eq!(attribute(span, "rpc.grpc.status_code"), Value::IntValue(0));
    assert_eq!(attribute(span, "rpc.response.count"), Value::IntValue(5));
    assert_eq!(attribute(span, "rpc.request.id"), text("7"));
    assert!(span.start_time_unix_nano < span.end_time_unix_nano);
    let first = &span.events[0];
    assert_eq!(first.name, "first response");
    assert!(first.time_unix_nano <= span.end_time_unix_nano);
    let resource = format!("{:?}", batch[0].resource);
    assert!(resource.contains("fanstream"), "{resource}");
}

#[test]
fn an_unsampled_parent_suppresses_the_span_and_no_parent_starts_a_trace() {
    let collector = Collector::start();
    let flags = [
        "--step",
        "0s",
        "--log-format",
        "json",
        "--otlp",
        &collector.url,
    ];
    let server = TestServer::start(Clear, &flags);
    for flag in ["00", "01"] {
        let header = traceparent(flag);
        server.client(&["--id", flag, "-H", &header]).end();
    }
    server.client(&["--id", "2"]).end();
    let calls = calls_of(&stop(server));
    let (_, batch) = collector.batch();
    let spans = spans(&batch);
    let ids: Vec<_> = spans
        .iter()
        .map(|span| attribute(span, "rpc.request.id"))
        .collect();
    assert_eq!(ids, ["1", "2"].map(|id| Value::StringValue(id.into())));
    assert!(spans[1].parent_span_id.is_empty());
    assert_ne!(hex(&spans[1].trace_id), TRACE);
    // The log lines carry the trace ids of the spans.
    assert_eq!(calls[0]["trace_id"], TRACE);
    assert_eq!(calls[2]["trace_id"], hex(&spans[1].trace_id));
    assert!(collector.is_empty());
}

#[test]
fn a_missing_collector_is_one_log_line() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let server = TestServer::start(Clear, &["--step", "0s", "--otlp", &url]);
    assert_eq!(server.client(&["--id", "1-50"]).end().code, Some(0));
    let errors = stop(server);
    let lost: Vec<_> = errors.iter().filter(|l| l.contains("spans")).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0].contains(&url), "{lost:?}");
    assert!(
        lost[0].contains("warning: 50 spans could not be sent"),
        "{lost:?}"
    );
}

#[test]
fn a_silent_collector_delays_shutdown_by_at_most_a_second() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let server = TestServer::start(Clear, &["--step", "0s", "--otlp", &url]);
    assert_eq!(server.client(&[]).end().code, Some(0));
    let began = Instant::now();
    stop(server);
    // The timeout of an export is 5 s.
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
