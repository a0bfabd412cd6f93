//! The tutorial's server on grpc-rs: a thread for each connection, which waits on io_uring and runs
//! one call after the other.
//!
//! The library has no send that waits for the client: a call queues everything that the client's
//! window does not take, and fails when the queue exceeds its limit.

#[path = "../../common_rust/server.rs"]
mod common;

use std::hint::black_box;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Error, Result};
use clap::Parser;
use grpc::{ProstCodec, Status, StreamError, SyncServer};
use grpc_core::session::SessionConfig;
use grpc_core::tls::{TlsServerConfig, TlsTransport};
use grpc_core::transport::{SyncTransport, TcpTransport, TcpTransportListener};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use common::{produce, Identity, ServerArgs, Tutorial};
use proto::{Request, Response};

/// The code that `build.rs` generates from `proto/stream.proto`.
mod proto {
    include!(concat!(env!("OUT_DIR"), "/protobuf.rs"));
}

fn main() -> ExitCode {
    match run(&ServerArgs::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("server: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &ServerArgs) -> Result<()> {
    let tutorial = args.tutorial;
    let mut response = Response::default();
    match args.produce {
        Some(count) => Ok(produce(count, |k| {
            tutorial.write_text(&mut response.result, k, 1);
            black_box(&response).result.len()
        })?),
        None => serve(args),
    }
}

/// Serves until the process is killed.
fn serve(args: &ServerArgs) -> Result<()> {
    let identity = args.identity().map_err(Error::msg)?;
    let tls = identity.as_ref().map(tls).transpose();
    let tls = tls.context("--tls-cert, --tls-key")?;
    let (host, port) = &args.listen;
    let listener = TcpTransportListener::bind((host.as_str(), *port)).context("--listen")?;
    println!("listening on {host}:{}", listener.local_addr()?.port());
    let tutorial = args.tutorial;
    loop {
        let (connection, _) = listener.accept().context("accept")?;
        let tls = tls.clone();
        // A failure ends only the connection.
        thread::spawn(move || match tls {
            None => serve_connection(connection, tutorial),
            Some(tls) => serve_connection(secure(connection, &tls)?, tutorial),
        });
    }
}

fn tls(identity: &Identity) -> Result<TlsServerConfig> {
    let certificates = CertificateDer::pem_slice_iter(identity.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let certificates = certificates.collect::<Result<_, _>>()?;
    Ok(TlsServerConfig::new(certificates, key)?)
}

fn secure(connection: TcpTransport, tls: &TlsServerConfig) -> Result<impl SyncTransport> {
    let mut connection = TlsTransport::server(connection, tls)?;
    connection.handshake()?;
    Ok(connection)
}

fn serve_connection(connection: impl SyncTransport + 'static, tutorial: Tutorial) -> Result<()> {
    let mut server = SyncServer::with_config(connection, session())?;
    server.register_server_streaming(
        "/protobuf.StreamService/FetchResponse",
        ProstCodec::<Response, Request>::new(),
        move |request, sink| {
            let id = request.get_ref().id;
            let began = Instant::now();
            // Reused for all responses, since the library only borrows it.
            let mut response = Response::default();
            for k in 0..tutorial.responses {
                let due = tutorial.due(k);
                if !due.is_zero() {
                    thread::sleep(due.saturating_sub(began.elapsed()));
                }
                tutorial.write_text(&mut response.result, k, id);
                sink.send(&response).map_err(status)?;
            }
            Ok(())
        },
    )?;
    Ok(server.serve_connection()?)
}

fn session() -> SessionConfig {
    SessionConfig {
        // As for tonic; calls beyond the defaults of 100 and 1,024 would wait or fail.
        max_concurrent_streams: u32::MAX,
        max_active_streams: usize::MAX,
        // The default of 16 MiB is less than a call sends in some workloads.
        per_stream_byte_budget: usize::MAX,
        ..SessionConfig::default()
    }
}

fn status(error: StreamError) -> Status {
    match error {
        StreamError::Status(status) => status,
        StreamError::WouldBlock => Status::internal("send would block"),
    }
}
