//! The load client on tonic, with the protocol of `benches/README.md`: a task for each call in
//! flight on tokio's multi-threaded runtime.

#[path = "../../../common_rust/load/mod.rs"]
mod common;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Streaming};

use common::{Call, Calls, LoadArgs};
use tonic_implementation::proto::stream_service_client::StreamServiceClient;
use tonic_implementation::proto::{Request, Response};

type Client = StreamServiceClient<Channel>;

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
    let endpoint = endpoint(args)?;
    let channel = || async {
        match endpoint.connect().await {
            Ok(channel) => channel,
            // A failure is the status of the calls on it.
            Err(_) => endpoint.connect_lazy(),
        }
    };
    let channels = join_all((0..args.connections).map(|_| channel())).await;
    let client = |channel| StreamServiceClient::new(channel).max_decoding_message_size(usize::MAX);
    Ok(channels.into_iter().map(client).collect())
}

fn endpoint(args: &LoadArgs) -> Result<Endpoint> {
    let authority = args.authority().map_err(Error::msg)?;
    let scheme = if authority.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", args.addr))
        .context("--addr")?
        .tcp_nodelay(true);
    if args.window > 0 {
        endpoint = endpoint
            .initial_stream_window_size(args.window)
            .initial_connection_window_size(args.window * 4);
    }
    if let Some(authority) = authority {
        let trusted = Certificate::from_pem(authority);
        let mut tls = ClientTlsConfig::new().ca_certificate(trusted);
        if let Some(name) = &args.server_name {
            tls = tls.domain_name(name);
        }
        endpoint = endpoint
            .tls_config(tls)
            .context("--tls-ca, --server-name")?;
    }
    Ok(endpoint)
}

/// Makes one call after the other until none is left.
async fn make(clients: Arc<[Client]>, calls: Arc<Calls>) {
    while let Some(turn) = calls.next() {
        let early = turn.early();
        if !early.is_zero() {
            tokio::time::sleep(early).await;
        }
        let mut client = clients[turn.connection()].clone();
        let request = Request { id: turn.id() };
        let call = turn.start();
        match client.fetch_response(request).await {
            Ok(response) => read(response.into_inner(), call).await,
            Err(status) => call.end(status.code() as i32),
        }
    }
}

async fn read(mut responses: Streaming<Response>, mut call: Call) {
    loop {
        match responses.message().await {
            Ok(Some(response)) if call.response(&response.result) => return call.hold(responses),
            Ok(Some(_)) => {}
            Ok(None) => return call.end(Code::Ok as i32),
            Err(status) => return call.end(status.code() as i32),
        }
    }
}
