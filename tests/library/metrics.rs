//! Metrics of user-defined services: the type of each method, and calls that outlive their client.

use crossbeam_channel::bounded;
use fanstream::proto::stream::Request;
use fanstream::server::{Server, Service};

use crate::common::http::get;
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
