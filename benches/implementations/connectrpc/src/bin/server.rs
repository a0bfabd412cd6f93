//! The tutorial's server on connectrpc: each call returns a stream that is polled for the next
//! response, on tokio's multi-threaded runtime.

#[path = "../../../common_rust/server.rs"]
mod common;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use clap::Parser;
use connectrpc::{
    ConnectError, ConnectRpcService, PreEncoded, RequestContext, Response, Server, ServiceRequest,
    ServiceResult, ServiceStream,
};
use futures_util::{stream, Stream};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::ServerConfig;
use tokio::time::{sleep_until, Instant};

use common::{produce, Identity, ServerArgs, Tutorial};
use connectrpc_implementation::proto::protobuf::__buffa::view::ResponseView;
use connectrpc_implementation::proto::protobuf::{self, StreamService, StreamServiceServer};

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
    let mut text = String::new();
    match args.produce {
        Some(count) => Ok(produce(count, |k| {
            black_box(view(tutorial, &mut text, k, 1)).result.len()
        })?),
        None => serve(args),
    }
}

/// Serves until the process is killed.
#[tokio::main]
async fn serve(args: &ServerArgs) -> Result<()> {
    let (host, port) = &args.listen;
    let mut server = Server::bind(format!("{host}:{port}"))
        .await
        .map_err(Error::from_boxed)
        .context("--listen")?
        // As for tonic: the HTTP/2 library allows 200 streams on a connection by default.
        .with_max_concurrent_streams(u32::MAX);
    if let Some(identity) = args.identity().map_err(Error::msg)? {
        server = server.with_tls(tls(&identity).context("--tls-cert, --tls-key")?);
    }
    println!("listening on {host}:{}", server.local_addr()?.port());
    // The generated dispatcher needs no table of methods.
    let service = StreamServiceServer::new(Streamer {
        tutorial: args.tutorial,
    });
    let served = server.serve_with_service(ConnectRpcService::new(service));
    served.await.map_err(Error::from_boxed)
}

fn tls(identity: &Identity) -> Result<Arc<ServerConfig>> {
    let certificates = CertificateDer::pem_slice_iter(identity.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates.collect::<Result<_, _>>()?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

struct Streamer {
    tutorial: Tutorial,
}

// The generated trait allows other types of items than the message.
#[allow(refining_impl_trait)]
impl StreamService for Streamer {
    async fn fetch_response(
        &self,
        _context: RequestContext,
        request: ServiceRequest<'_, protobuf::Request>,
    ) -> ServiceResult<ServiceStream<PreEncoded<protobuf::Response>>> {
        let (tutorial, id) = (self.tutorial, request.id);
        if tutorial.step.is_zero() {
            Response::stream_ok(at_once(tutorial, id))
        } else {
            Response::stream_ok(in_steps(tutorial, id))
        }
    }
}

type Responded = Result<PreEncoded<protobuf::Response>, ConnectError>;

/// Response `k`, whose result it writes into `text`.
fn view(tutorial: Tutorial, text: &mut String, k: u32, id: i32) -> ResponseView<'_> {
    tutorial.write_text(text, k, id);
    ResponseView {
        result: text,
        ..Default::default()
    }
}

/// A stream cannot yield a view of a text that it reuses, so this encodes the view. An owned message
/// would need a text of its own.
fn respond(tutorial: Tutorial, text: &mut String, k: u32, id: i32) -> Responded {
    Ok(PreEncoded::from_view(&view(tutorial, text, k, id)))
}

/// Sends responses as fast as the client reads.
fn at_once(tutorial: Tutorial, id: i32) -> impl Stream<Item = Responded> {
    let mut text = String::new();
    stream::iter((0..tutorial.responses).map(move |k| respond(tutorial, &mut text, k, id)))
}

/// Sends each response when it is due. Waiting needs only the stream's own timer, no task.
fn in_steps(tutorial: Tutorial, id: i32) -> impl Stream<Item = Responded> {
    let began = Instant::now();
    stream::unfold(0, move |k| async move {
        if k == tutorial.responses {
            return None;
        }
        let due = began + tutorial.due(k);
        // The timer rounds up to milliseconds, also what is due already.
        if due > Instant::now() {
            sleep_until(due).await;
        }
        Some((respond(tutorial, &mut String::new(), k, id), k + 1))
    })
}
