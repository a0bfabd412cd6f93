//! The suite's server: reads one configuration from standard input, serves `ConformanceService` on
//! a free port of 127.0.0.1, prints its address, and drains on SIGTERM.

use std::error::Error;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use fanstream::address::Address;
use fanstream::engine::CallContext;
use fanstream::protobuf::well_known_types::Any;
use fanstream::protobuf::Message;
use fanstream::security::ServerTls;
use fanstream::server::{Server, ServerBuilder, ServerConfig, Service, Signals};
use fanstream::Status;
use fanstream_conformance::server_compat::{ServerCompatRequest, ServerCompatResponse};
use fanstream_conformance::service::{
    ConformancePayload, ConformancePayload_RequestInfo as RequestInfo, Header, ServerStreamRequest,
    ServerStreamResponse, UnaryRequest, UnaryResponse, UnaryResponseDefinition_oneof_response,
};
use fanstream_conformance::service_grpc::{
    METHOD_CONFORMANCE_SERVICE_SERVER_STREAM, METHOD_CONFORMANCE_SERVICE_UNARY,
};
use fanstream_conformance::{
    headers_from, metadata_from, read_message, status_from, write_file, write_message,
};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(request) = read_message::<ServerCompatRequest>(&mut io::stdin())? else {
        return Err("there is no configuration on standard input".into());
    };
    let mut signals = Signals::register()?;
    let directory = tempfile::tempdir()?;
    let mut response = ServerCompatResponse::new();
    response.pem_cert = request.get_server_creds().cert.clone();
    let server = builder(&request, directory.path())?.start()?;
    let Address::Tcp { host, port } = &server.bound()[0].address else {
        return Err("the server does not listen on TCP".into());
    };
    response.host = host.clone();
    response.port = (*port).into();
    write_message(&mut io::stdout(), &response)?;
    signals.wait();
    server.shutdown(Duration::from_secs(1));
    Ok(())
}

fn builder(
    request: &ServerCompatRequest,
    directory: &Path,
) -> Result<ServerBuilder, Box<dyn Error>> {
    let service = Service::new()
        .unary(&METHOD_CONFORMANCE_SERVICE_UNARY, unary)
        .server_streaming(&METHOD_CONFORMANCE_SERVICE_SERVER_STREAM, server_stream);
    let config = ServerConfig {
        gzip: true,
        ..ServerConfig::default()
    };
    let mut builder = Server::builder()
        .config(config)
        .listen("127.0.0.1:0")
        .add_service(service);
    if request.message_receive_limit > 0 {
        builder = builder.max_request_bytes(request.message_receive_limit as usize);
    }
    if request.use_tls {
        let credentials = request.get_server_creds();
        let certificate = write_file(directory, "server.pem", &credentials.cert)?;
        let key = write_file(directory, "server.key", &credentials.key)?;
        let mut tls = ServerTls::new(certificate, key);
        if !request.client_tls_cert.is_empty() {
            let authorities = write_file(directory, "clients.pem", &request.client_tls_cert)?;
            tls.client_authorities = Some(authorities);
        }
        builder = builder.tls(tls);
    }
    Ok(builder)
}

fn unary(call: &CallContext, request: UnaryRequest) -> Result<UnaryResponse, Status> {
    let info = request_info(call, &request)?;
    let mut payload = ConformancePayload::new();
    let definition = request.response_definition.unwrap_or_default();
    set_metadata(
        call,
        &definition.response_headers,
        &definition.response_trailers,
    )?;
    sleep(Duration::from_millis(definition.response_delay_ms.into()));
    match definition.response {
        Some(UnaryResponseDefinition_oneof_response::error(mut error)) => {
            error.details.push(any(&info)?);
            return Err(status_from(&error).into());
        }
        Some(UnaryResponseDefinition_oneof_response::response_data(data)) => payload.data = data,
        None => {}
    }
    payload.set_request_info(info);
    let mut response = UnaryResponse::new();
    response.set_payload(payload);
    Ok(response)
}

/// The responses, the first one with the details of the request, then the requested error, if any.
fn server_stream(
    call: &CallContext,
    request: ServerStreamRequest,
) -> Result<impl Iterator<Item = Result<ServerStreamResponse, Status>> + Send, Status> {
    let mut info = Some(request_info(call, &request)?);
    let definition = request.response_definition.unwrap_or_default();
    set_metadata(
        call,
        &definition.response_headers,
        &definition.response_trailers,
    )?;
    let mut error = definition.error.into_option();
    if definition.response_data.is_empty() {
        if let (Some(error), Some(info)) = (&mut error, &info) {
            error.details.push(any(info)?);
        }
    }
    let delay = Duration::from_millis(definition.response_delay_ms.into());
    let responses = definition.response_data.into_iter().map(move |data| {
        sleep(delay);
        let mut payload = ConformancePayload::new();
        payload.data = data;
        payload.request_info = info.take().into();
        let mut response = ServerStreamResponse::new();
        response.set_payload(payload);
        Ok(response)
    });
    Ok(responses.chain(error.map(|error| Err(status_from(&error).into()))))
}

fn request_info(call: &CallContext, request: &impl Message) -> Result<RequestInfo, Status> {
    let mut info = RequestInfo::new();
    if let Some(headers) = call.headers() {
        info.request_headers = headers_from(headers);
    }
    if let Some(left) = call.time_left() {
        info.set_timeout_ms(left.as_millis() as i64);
    }
    info.requests.push(any(request)?);
    Ok(info)
}

fn set_metadata(call: &CallContext, headers: &[Header], trailers: &[Header]) -> Result<(), Status> {
    let metadata = |headers| {
        metadata_from(headers).map_err(|error| Status::invalid_argument(error.to_string()))
    };
    call.set_response_headers(metadata(headers)?);
    call.set_response_trailers(metadata(trailers)?);
    Ok(())
}

fn any(message: &impl Message) -> Result<Any, Status> {
    Any::pack(message).map_err(|error| Status::internal(error.to_string()))
}
