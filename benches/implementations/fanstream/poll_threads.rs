//! Makes calls as futures on the C-core's poll threads, for loads with too many calls for threads.
//! Only the thread that starts the calls may block, not a future.

use std::io;
use std::sync::Arc;
use std::thread;

use fanstream::proto::stream::{Request, Response};
use futures::StreamExt;
use grpcio::{ClientSStreamReceiver, RpcStatusCode};

use crate::channels;
use crate::common::calls::{Call, Calls, Turn};
use crate::Connection;

/// Starts the thread that starts the calls.
pub fn start(connections: &Arc<[Connection]>, calls: &Arc<Calls>) -> io::Result<()> {
    let (connections, calls) = (connections.clone(), calls.clone());
    thread::Builder::new()
        .name("starter".into())
        .spawn(move || make(&connections, &calls))?;
    Ok(())
}

fn make(connections: &[Connection], calls: &Arc<Calls>) {
    // Holds a message for each call in flight, so a full channel blocks the next start.
    let (opened, ended) = crossbeam_channel::bounded(calls.in_flight());
    while let Some(turn) = calls.next() {
        // Cannot fail: the receiver is alive in this function.
        let _ = opened.send(());
        let early = turn.early();
        if !early.is_zero() {
            thread::sleep(early);
        }
        let ended = ended.clone();
        open(&connections[turn.connection()], turn, move || {
            let _ = ended.try_recv();
        });
    }
}

/// Starts the call; its poll thread reads it to its end and then runs `over`.
fn open(connection: &Connection, turn: Turn, over: impl FnOnce() + Send + 'static) {
    let request = Request {
        id: turn.id(),
        ..Request::default()
    };
    let call = turn.start();
    match connection.stub.fetch_response(&request) {
        Ok(stream) => connection.poller.spawn(async {
            read(stream, call).await;
            over();
        }),
        Err(error) => {
            call.end(channels::code(&error));
            over();
        }
    }
}

async fn read(mut stream: ClientSStreamReceiver<Response>, mut call: Call) {
    let mut failure = None;
    loop {
        match stream.next().await {
            Some(Ok(response)) if call.response(&response.result) => return call.hold(stream),
            Some(Ok(_)) => {}
            // The status can arrive before the last messages are read, so reading continues.
            Some(Err(error @ grpcio::Error::RpcFailure(_))) if failure.is_none() => {
                failure = Some(error);
            }
            Some(Err(error)) => {
                return call.end(channels::code(failure.as_ref().unwrap_or(&error)))
            }
            None => {
                let ok = RpcStatusCode::OK.into();
                return call.end(failure.as_ref().map_or(ok, channels::code));
            }
        }
    }
}
