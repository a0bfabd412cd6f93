//! The load client as one writes it on tonic: a task for each call in flight, on tokio's
//! multi-threaded runtime. What it says is `benches/peers/README.md`'s.

#[path = "../../../common_rust/load/mod.rs"]
mod common;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Streaming};

use common::{Call, Calls, LoadArgs};
use tonic_peer::proto::stream_service_client::StreamServiceClient;
use tonic_peer::proto::{Request, Response};

type Client = StreamServiceClient<Channel>;

fn main() -> ExitCode {
    let args = LoadArgs::from_command_line();
    run(&args).unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "tonic-load: {error}");
        ExitCode::from(2)
    })
}

fn run(args: &LoadArgs) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = Runtime::new()?;
    let clients = connect(args, &runtime)?;
    Ok(common::main(args, |calls| {
        for _ in 0..calls.in_flight() {
            runtime.spawn(make(clients.clone(), calls.clone()));
        }
        Ok(())
    }))
}

/// A client for each connection, to be connected by the first call on it.
fn connect(args: &LoadArgs, runtime: &Runtime) -> Result<Arc<[Client]>, Box<dyn Error>> {
    let endpoint = endpoint(args)?;
    let _entered = runtime.enter(); // where connecting is to go on
    let client = |_| {
        let channel = endpoint.connect_lazy();
        StreamServiceClient::new(channel).max_decoding_message_size(usize::MAX)
    };
    Ok((0..args.connections).map(client).collect())
}

fn endpoint(args: &LoadArgs) -> Result<Endpoint, Box<dyn Error>> {
    let authority = args.authority()?;
    let scheme = if authority.is_some() { "https" } else { "http" };
    let mut endpoint =
        Endpoint::from_shared(format!("{scheme}://{}", args.addr))?.tcp_nodelay(true);
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
        endpoint = endpoint.tls_config(tls)?;
    }
    Ok(endpoint)
}

/// Makes one call after the other, until there is none left.
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
