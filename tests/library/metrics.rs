//! Metrics of user-defined services: the type of each method, calls that outlive their client, and
//! the page over HTTP: its formats and its methods.

use crossbeam_channel::bounded;
use fanstream::proto::stream::Request;
use fanstream::server::{Server, Service};

use crate::common::http::{get, send, Reply};
use crate::common::process::eventually;
use crate::{builder, client, count, echo, local, request, response, texts, COUNT, ECHO};

const LINGERING: &str = r#"fanstream_lingering_calls{grpc_type="server_stream",grpc_service="test.Count",grpc_method="Count"}"#;

/// True once the metrics have this sample.
fn has(server: &Server, sample: &str) -> bool {
    let address = server.metrics_address().unwrap().to_string();
    let text = get(&address, "/metrics").body;
    text.lines().any(|line| line == sample)
}

#[test]
fn a_unary_method_is_labelled_as_unary() {
    let server = builder()
        .metrics(local())
        .add_service(echo())
        .add_service(count())
        .start()
        .unwrap();
    let client = client(&server);
    client.unary(&ECHO, request(7)).unwrap();
    assert_eq!(texts(&client, 1), ["0"]);
    for labels in [
        r#"grpc_type="unary",grpc_service="test.Echo",grpc_method="Echo""#,
        r#"grpc_type="server_stream",grpc_service="test.Count",grpc_method="Count""#,
    ] {
        let sample = format!("grpc_server_started_total{{{labels}}} 1");
        eventually(|| has(&server, &sample).then_some(()));
    }
}

#[test]
fn a_call_whose_producer_outlives_it_lingers() {
    let (release, gate) = bounded::<()>(0);
    let blocking = Service::new().server_streaming(&COUNT, move |_, request: Request| {
        let gate = gate.clone();
        Ok((0..).map(move |n| {
            if n == request.id {
                let _ = gate.recv(); // blocks until `release` is dropped
            }
            Ok(response(n))
        }))
    });
    let server = builder()
        .metrics(local())
        .add_service(blocking)
        .start()
        .unwrap();
    let mut call = client(&server).call(&COUNT, request(1));
    call.next().unwrap().unwrap();
    assert!(has(&server, &format!("{LINGERING} 0")));
    drop(call);
    eventually(|| has(&server, &format!("{LINGERING} 1")).then_some(()));
    drop(release);
    eventually(|| has(&server, &format!("{LINGERING} 0")).then_some(()));
}

/// A server without calls, and the address of its metrics.
fn idle() -> (Server, String) {
    let server = builder()
        .metrics(local())
        .add_service(count())
        .start()
        .unwrap();
    let address = server.metrics_address().unwrap().to_string();
    (server, address)
}

#[test]
fn the_build_tells_versions_and_patches() {
    let (server, _) = idle();
    let version = env!("CARGO_PKG_VERSION");
    let c_core = fanstream::c_core::VERSION;
    let labels = format!(r#"version="{version}",c_core="{c_core}",patched="true""#);
    assert!(has(&server, &format!("fanstream_build_info{{{labels}}} 1")));
}

/// The page of the metrics for a request with this header `Accept`.
#[track_caller]
fn accepted(address: &str, accept: &str) -> Reply {
    let head = "GET /metrics HTTP/1.1\r\nHost: x\r\n";
    let reply = send(address, &format!("{head}Accept: {accept}\r\n\r\n"));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.head.contains("\r\nVary: Accept\r\n"), "{reply:?}");
    reply
}

#[test]
fn a_scraper_gets_the_format_that_it_asks_for() {
    let (_server, address) = idle();
    let text = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let Reply { head, body, .. } = accepted(&address, text);
    let content_type = "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n";
    assert!(head.contains(content_type), "{head}");
    for line in [
        "# HELP grpc_server_started_total ",
        "# TYPE grpc_server_started_total counter\n",
        "# TYPE process_cpu_seconds_total counter\n",
        "# TYPE fanstream_build_info gauge\n",
        "# TYPE grpc_server_handling_seconds histogram\n",
        "\ngrpc_server_started_total{",
    ] {
        assert!(body.contains(line), "no {line:?} in {body}");
    }
    for other in ["# EOF", "# UNIT", " info\n"] {
        assert!(!body.contains(other), "{other:?} in {body}");
    }

    for accept in [
        "*/*",
        "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5",
        "application/json",
    ] {
        let Reply { head, body, .. } = accepted(&address, accept);
        let content_type =
            "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
        assert!(head.contains(content_type), "{accept}: {head}");
        assert!(body.contains("# TYPE grpc_server_started counter\n"));
        assert!(body.ends_with("# EOF\n"), "{accept}: {body}");
    }
}

/// The value of `Content-Length`.
fn content_length(reply: &Reply) -> usize {
    let mut lines = reply.head.lines();
    let length = lines.find_map(|line| line.strip_prefix("Content-Length: "));
    length.unwrap().parse().unwrap()
}

#[test]
fn head_has_the_headers_of_get_without_the_body() {
    let (_server, address) = idle();
    for path in ["/healthz", "/readyz", "/none"] {
        let full = get(&address, path);
        let head = send(
            &address,
            &format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
        );
        assert_eq!(head.head, full.head, "{path}");
        assert_eq!(content_length(&full), full.body.len(), "{path}");
        assert_eq!(head.body, "", "{path}");
    }
    // Two scrapes can differ.
    let metrics = send(&address, "HEAD /metrics HTTP/1.0\r\n\r\n");
    assert_eq!((metrics.status, metrics.body.as_str()), (200, ""));
    assert!(content_length(&metrics) > 1000, "{metrics:?}");
}

#[test]
fn other_methods_unknown_paths_and_malformed_requests_are_refused() {
    let (_server, address) = idle();
    for (request, status) in [
        ("GET /metrics HTTP/1.0\r\n\r\n", 200),
        ("GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET http://x/metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET /none HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("PUT /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("GET /metrics HTTP/1.1\r\n\r\n", 400),
        ("GET /metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        ("GET metrics HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET /metrics HTTP/2.0\r\nHost: x\r\n\r\n", 400),
    ] {
        let reply = send(&address, request);
        assert_eq!(reply.status, status, "{request:?}");
        assert!(reply.head.contains("\r\nConnection: close"), "{reply:?}");
        let allow = reply.head.contains("\r\nAllow: GET, HEAD\r\n");
        assert_eq!(allow, status == 405, "{reply:?}");
    }
}
