//! The tutorial's server as a literal translation from Go to grpcio: a thread for each call and
//! each worker, a channel between them, and a blocking send for every message. It is a baseline for
//! the engine and must not use it.

#[path = "../common_rust/server.rs"]
mod common;

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::mpsc::{self, SyncSender};
use std::sync::Arc;
use std::{io, thread};

use clap::Parser;
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::{create_stream_service, StreamService};
use futures::executor::block_on;
use futures::SinkExt;
use grpcio::{
    ChannelBuilder, Environment, RpcContext, RpcStatus, RpcStatusCode, ServerBuilder,
    ServerCredentials, ServerCredentialsBuilder, ServerStreamingSink, WriteFlags,
};

use common::{produce, ServerArgs, Tutorial};

/// The capacity of the channel between the workers and the call's thread.
const CAPACITY: usize = 64;

fn main() -> ExitCode {
    match run(&ServerArgs::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("naive-server: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &ServerArgs) -> Result<(), Box<dyn Error>> {
    let tutorial = args.tutorial;
    match args.produce {
        Some(count) => Ok(produce(count, |k| {
            black_box(response(tutorial, k, 1)).result.len()
        })?),
        None => serve(args),
    }
}

/// Serves until the process is killed.
fn serve(args: &ServerArgs) -> Result<(), Box<dyn Error>> {
    let env = Arc::new(Environment::new(thread::available_parallelism()?.get()));
    let credentials = match args.identity()? {
        Some(identity) => ServerCredentialsBuilder::new()
            .add_cert(identity.certificate.into(), identity.key.into())
            .build(),
        None => ServerCredentials::insecure(),
    };
    let service = create_stream_service(Naive {
        tutorial: args.tutorial,
    });
    // With port reuse, a second server on the same port would be no error.
    let channel_args = ChannelBuilder::new(env.clone()).reuse_port(false);
    let mut server = ServerBuilder::new(env)
        .channel_args(channel_args.build_args())
        .register_service(service)
        .build()?;
    let (host, port) = &args.listen;
    let port = server
        .add_listening_port(format!("{host}:{port}"), credentials)
        .map_err(|error| format!("cannot listen, or not with that certificate: {error}"))?;
    server.start();
    println!("listening on {host}:{port}");
    loop {
        thread::park();
    }
}

#[derive(Clone)]
struct Naive {
    tutorial: Tutorial,
}

impl StreamService for Naive {
    fn fetch_response(
        &mut self,
        _: RpcContext<'_>,
        request: Request,
        sink: ServerStreamingSink<Response>,
    ) {
        let tutorial = self.tutorial;
        let spawned = thread::Builder::new().spawn(move || respond(tutorial, request.id, sink));
        // Without a thread the sink is dropped, and the call ends with CANCELLED.
        drop(spawned);
    }
}

/// The call's thread.
fn respond(tutorial: Tutorial, id: i32, mut sink: ServerStreamingSink<Response>) {
    let (sender, responses) = mpsc::sync_channel(CAPACITY);
    if let Err(error) = start_workers(tutorial, id, sender) {
        let message = format!("cannot start a thread: {error}");
        let status = RpcStatus::with_message(RpcStatusCode::RESOURCE_EXHAUSTED, message);
        let _ = block_on(sink.fail(status));
        return;
    }
    for response in responses {
        if block_on(sink.send((response, WriteFlags::default()))).is_err() {
            return; // the call has ended
        }
    }
    let _ = block_on(sink.close());
}

fn response(tutorial: Tutorial, k: u32, id: i32) -> Response {
    let mut result = String::new();
    tutorial.write_text(&mut result, k, id);
    Response {
        result,
        ..Response::default()
    }
}

/// Starts a thread for each response; without steps, one thread for all of them.
fn start_workers(tutorial: Tutorial, id: i32, sender: SyncSender<Response>) -> io::Result<()> {
    if tutorial.step.is_zero() {
        let mut responses = (0..tutorial.responses).map(move |k| response(tutorial, k, id));
        thread::Builder::new().spawn(move || {
            // An error means that the call has ended.
            responses.try_for_each(|response| sender.send(response))
        })?;
        return Ok(());
    }
    for k in 0..tutorial.responses {
        let sender = sender.clone();
        thread::Builder::new().spawn(move || {
            thread::sleep(tutorial.due(k));
            sender.send(response(tutorial, k, id))
        })?;
    }
    Ok(())
}
