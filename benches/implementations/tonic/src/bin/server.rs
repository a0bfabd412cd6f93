//! The tutorial's server on tonic: each call returns a stream that is polled for the next response,
//! on tokio's multi-threaded runtime.

#[path = "../../../common_rust/server.rs"]
mod common;

use std::hint::black_box;
use std::pin::Pin;
use std::process::ExitCode;

use anyhow::{Context, Error, Result};
use clap::Parser;
use futures_util::stream;
use tokio::net::TcpListener;
use tokio::time::{sleep_until, Instant};
use tokio_stream::Stream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::Status;

use common::{produce, ServerArgs, Tutorial};
use tonic_implementation::proto::stream_service_server::{StreamService, StreamServiceServer};
use tonic_implementation::proto::{Request, Response};

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
    match args.produce {
        Some(count) => Ok(produce(count, |k| {
            black_box(response(tutorial, k, 1)).result.len()
        })?),
        None => serve(args),
    }
}

/// Serves until the process is killed.
#[tokio::main]
async fn serve(args: &ServerArgs) -> Result<()> {
    let mut server = Server::builder()
        // The HTTP/2 library allows 200 streams on a connection by default, grpc-go and the C-core
        // do not limit them: calls beyond the limit would wait in the client.
        .max_concurrent_streams(u32::MAX);
    if let Some(identity) = args.identity().map_err(Error::msg)? {
        let identity = Identity::from_pem(identity.certificate, identity.key);
        server = server
            .tls_config(ServerTlsConfig::new().identity(identity))
            .context("--tls-cert, --tls-key")?;
    }
    let (host, port) = &args.listen;
    let listener = TcpListener::bind(format!("{host}:{port}"))
        .await
        .context("--listen")?;
    println!("listening on {host}:{}", listener.local_addr()?.port());
    server
        .add_service(StreamServiceServer::new(Streamer {
            tutorial: args.tutorial,
        }))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}

struct Streamer {
    tutorial: Tutorial,
}

#[tonic::async_trait]
impl StreamService for Streamer {
    type FetchResponseStream = Pin<Box<dyn Stream<Item = Result<Response, Status>> + Send>>;

    async fn fetch_response(
        &self,
        request: tonic::Request<Request>,
    ) -> Result<tonic::Response<Self::FetchResponseStream>, Status> {
        let id = request.into_inner().id;
        let tutorial = self.tutorial;
        Ok(tonic::Response::new(if tutorial.step.is_zero() {
            Box::pin(at_once(tutorial, id))
        } else {
            Box::pin(in_steps(tutorial, id))
        }))
    }
}

type Responded = Result<Response, Status>;

fn response(tutorial: Tutorial, k: u32, id: i32) -> Response {
    let mut result = String::new();
    tutorial.write_text(&mut result, k, id);
    Response { result }
}

/// Sends responses as fast as the client reads. The library joins what a poll finds ready, so this
/// is not the `iter` of tokio-stream, which is not ready after each 32 responses.
fn at_once(tutorial: Tutorial, id: i32) -> impl Stream<Item = Responded> {
    stream::iter((0..tutorial.responses).map(move |k| Ok(response(tutorial, k, id))))
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
        Some((Ok(response(tutorial, k, id)), k + 1))
    })
}
