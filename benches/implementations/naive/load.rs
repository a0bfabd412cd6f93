//! The load client as a newcomer to grpcio writes it: a thread for each call in flight iterates the
//! responses with `block_on_stream`. It is a baseline for the engine and must not use it.

#[path = "../common_rust/channels.rs"]
mod channels;
#[path = "../common_rust/load/mod.rs"]
mod common;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::StreamServiceClient;
use futures::executor::block_on_stream;
use grpcio::{ChannelBuilder, ClientSStreamReceiver, EnvBuilder, RpcStatusCode};

use common::{Call, Calls, LoadArgs};

fn main() -> ExitCode {
    let args = LoadArgs::from_command_line();
    match connect(&args) {
        Ok(stubs) => common::main(&args, |calls| start(&stubs, calls)),
        Err(error) => {
            let _ = writeln!(io::stderr(), "naive-load: {error}");
            ExitCode::from(2)
        }
    }
}

fn connect(args: &LoadArgs) -> Result<Arc<[StreamServiceClient]>, String> {
    let env = Arc::new(EnvBuilder::new().build());
    let adjust = channels::adjust(args)?;
    let channel = |_| {
        let builder = ChannelBuilder::new(env.clone()).max_receive_message_len(-1);
        adjust(builder).connect(&args.addr)
    };
    let channels: Vec<_> = (0..args.connections).map(channel).collect();
    channels::connect(&channels);
    Ok(channels.into_iter().map(StreamServiceClient::new).collect())
}

/// Starts a thread for each call in flight.
fn start(stubs: &Arc<[StreamServiceClient]>, calls: &Arc<Calls>) -> io::Result<()> {
    for _ in 0..calls.in_flight() {
        let (stubs, calls) = (stubs.clone(), calls.clone());
        thread::Builder::new().spawn(move || make(&stubs, &calls))?;
    }
    Ok(())
}

/// Makes one call after the other until none is left.
fn make(stubs: &[StreamServiceClient], calls: &Arc<Calls>) {
    while let Some(turn) = calls.next() {
        thread::sleep(turn.early());
        let stub = &stubs[turn.connection()];
        let request = Request {
            id: turn.id(),
            ..Request::default()
        };
        let call = turn.start();
        match stub.fetch_response(&request) {
            Ok(stream) => read(stream, call),
            Err(error) => call.end(channels::code(&error)),
        }
    }
}

fn read(stream: ClientSStreamReceiver<Response>, mut call: Call) {
    let mut responses = block_on_stream(stream);
    for response in &mut responses {
        match response {
            Ok(response) if call.response(&response.result) => return call.hold(responses),
            Ok(_) => {}
            Err(error) => return call.end(channels::code(&error)),
        }
    }
    call.end(RpcStatusCode::OK.into());
}
