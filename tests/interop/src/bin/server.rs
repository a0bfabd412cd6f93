//! gRPC's interop service on fanstream: `interop-server [CERTIFICATE KEY]` listens on a free port
//! of 127.0.0.1, over TLS with the PEM files of a certificate and its key, prints its address, and
//! drains on SIGTERM.

use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

use fanstream::engine::CallContext;
use fanstream::security::ServerTls;
use fanstream::server::{Server, Service, Signals};
use fanstream::Status;
use fanstream_interop::test::{
    EchoStatus, Empty, Payload, SimpleRequest, SimpleResponse, StreamingOutputCallRequest,
    StreamingOutputCallResponse,
};
use fanstream_interop::test_grpc::{
    METHOD_TEST_SERVICE_EMPTY_CALL, METHOD_TEST_SERVICE_STREAMING_OUTPUT_CALL,
    METHOD_TEST_SERVICE_UNARY_CALL,
};

fn main() -> Result<(), Box<dyn Error>> {
    let service = Service::new()
        .unary(&METHOD_TEST_SERVICE_EMPTY_CALL, |_, _: Empty| {
            Ok(Empty::new())
        })
        .unary(&METHOD_TEST_SERVICE_UNARY_CALL, unary_call)
        .server_streaming(
            &METHOD_TEST_SERVICE_STREAMING_OUTPUT_CALL,
            streaming_output_call,
        );
    let mut builder = Server::builder().listen("127.0.0.1:0").add_service(service);
    let files: Vec<String> = std::env::args().skip(1).collect();
    match &files[..] {
        [] => {}
        [certificate, key] => {
            builder = builder.tls(ServerTls::new(certificate, key));
        }
        _ => return Err("usage: interop-server [CERTIFICATE KEY]".into()),
    }
    let mut signals = Signals::register()?;
    let server = builder.start()?;
    println!("{}", server.bound()[0].address);
    signals.wait();
    server.shutdown(Duration::from_secs(1));
    Ok(())
}

fn unary_call(_: &CallContext, request: SimpleRequest) -> Result<SimpleResponse, Status> {
    check_status(request.response_status.as_ref())?;
    let mut response = SimpleResponse::new();
    response.set_payload(payload(request.response_size)?);
    if request.fill_server_id {
        response.server_id = format!("fanstream {}", std::process::id());
    }
    Ok(response)
}

/// The responses, then the requested status, if any.
fn streaming_output_call(
    _: &CallContext,
    request: StreamingOutputCallRequest,
) -> Result<impl Iterator<Item = Result<StreamingOutputCallResponse, Status>> + Send, Status> {
    let failure = check_status(request.response_status.as_ref()).err();
    let responses = request.response_parameters.into_iter().map(|parameters| {
        let interval = parameters.interval_us.try_into().unwrap_or(0);
        sleep(Duration::from_micros(interval));
        let mut response = StreamingOutputCallResponse::new();
        response.set_payload(payload(parameters.size)?);
        Ok(response)
    });
    Ok(responses.chain(failure.map(Err)))
}

fn check_status(status: Option<&EchoStatus>) -> Result<(), Status> {
    match status {
        Some(status) if status.code != 0 => Err(Status::new(status.code, status.message.clone())),
        _ => Ok(()),
    }
}

fn payload(size: i32) -> Result<Payload, Status> {
    let Ok(size) = size.try_into() else {
        let text = format!("a payload cannot have {size} bytes");
        return Err(Status::invalid_argument(text));
    };
    let mut payload = Payload::new();
    payload.body = vec![0; size];
    Ok(payload)
}
