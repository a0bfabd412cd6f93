//! The load client on connectrpc over the gRPC protocol, with the protocol of `benches/README.md`:
//! a task for each call in flight on tokio's multi-threaded runtime.

#[path = "../../../common_rust/load/mod.rs"]
mod common;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use connectrpc::client::{
    ClientConfig, ClientTransport, Http2Connection, ServerStream, SharedHttp2Connection,
};
use connectrpc::Protocol;
use futures_util::future::join_all;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::RootCertStore;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::client::TlsStream;
use tokio_rustls::TlsConnector;
use tower::service_fn;

use common::{Call, Calls, LoadArgs};
use connectrpc_implementation::proto::protobuf::__buffa::view::ResponseView;
use connectrpc_implementation::proto::protobuf::{Request, StreamServiceClient};

type Client = StreamServiceClient<SharedHttp2Connection>;
type Incoming = <SharedHttp2Connection as ClientTransport>::ResponseBody;
type Responses = ServerStream<Incoming, ResponseView<'static>>;

/// The length of a connection's queue for requests that it has not taken yet.
const QUEUE: usize = 1024;

/// The library's codes are those of errors only.
const OK: i32 = 0;

fn main() -> ExitCode {
    let args = LoadArgs::from_command_line();
    run(&args).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "load: {error:#}");
        ExitCode::from(2)
    })
}

fn run(args: &LoadArgs) -> Result<ExitCode> {
    let runtime = Runtime::new()?;
    let clients = runtime.block_on(connect(args))?;
    Ok(common::main(args, |calls| {
        for _ in 0..calls.in_flight() {
            runtime.spawn(make(clients.clone(), calls.clone()));
        }
        Ok(())
    }))
}

/// Creates a client for each connection and connects it if possible.
async fn connect(args: &LoadArgs) -> Result<Arc<[Client]>> {
    let tls = args.authority().map_err(Error::msg)?;
    let tls = tls.as_deref().map(|authority| Tls::new(args, authority));
    let tls = tls.transpose().context("--tls-ca, --server-name")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let uri = format!("{scheme}://{}", args.addr).parse::<Uri>();
    let uri = uri.context("--addr")?;
    let connections = (0..args.connections).map(|_| open(args, &uri, tls.as_ref()));
    let connections = join_all(connections).await;
    let config = ClientConfig::new(uri)
        .with_protocol(Protocol::Grpc)
        .with_default_max_message_size(usize::MAX);
    let client = |connection: Http2Connection| {
        StreamServiceClient::new(connection.shared(QUEUE), config.clone())
    };
    Ok(connections.into_iter().map(client).collect())
}

/// Connects if possible. A failure is the status of the calls on the connection.
async fn open(args: &LoadArgs, uri: &Uri, tls: Option<&Tls>) -> Http2Connection {
    let builder = || {
        let builder = Http2Connection::builder();
        match args.window {
            0 => builder,
            window => builder
                .initial_stream_window_size(window)
                .initial_connection_window_size(window * 4),
        }
    };
    let Some(tls) = tls else {
        let connected = builder().connect_plaintext(uri.clone()).await;
        return connected.unwrap_or_else(|_| builder().lazy_plaintext(uri.clone()));
    };
    let connector = || {
        let tls = tls.clone();
        service_fn(move |_| tls.clone().connect())
    };
    let connected = builder().connect_with_connector(connector(), uri.clone());
    let connected = connected.await;
    connected.unwrap_or_else(|_| builder().lazy_with_connector(connector(), uri.clone()))
}

/// Connects as the library does, but can expect another name than the host of the address.
#[derive(Clone)]
struct Tls {
    addr: String,
    name: ServerName<'static>,
    connector: TlsConnector,
}

impl Tls {
    fn new(args: &LoadArgs, authority: &str) -> Result<Tls> {
        let mut trusted = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            trusted.add(certificate?)?;
        }
        let provider = Arc::new(ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(trusted)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let host = args.addr.rsplit_once(':').map_or("", |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = args.server_name.as_deref().unwrap_or(host).to_string();
        Ok(Tls {
            addr: args.addr.clone(),
            name: name.try_into()?,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    async fn connect(self) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(&self.addr).await?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(self.name, stream).await?;
        Ok(TokioIo::new(stream))
    }
}

/// Makes one call after the other until none is left.
async fn make(clients: Arc<[Client]>, calls: Arc<Calls>) {
    while let Some(turn) = calls.next() {
        let early = turn.early();
        if !early.is_zero() {
            tokio::time::sleep(early).await;
        }
        let client = &clients[turn.connection()];
        let request = Request {
            id: turn.id(),
            ..Default::default()
        };
        let call = turn.start();
        match client.fetch_response(request).await {
            Ok(responses) => read(responses, call).await,
            Err(error) => call.end(error.code.grpc_code() as i32),
        }
    }
}

async fn read(mut responses: Responses, mut call: Call) {
    loop {
        match responses.message().await {
            Ok(Some(response)) if call.response(response.result()) => return call.hold(responses),
            Ok(Some(_)) => {}
            Ok(None) => return call.end(OK),
            Err(error) => return call.end(error.code.grpc_code() as i32),
        }
    }
}
