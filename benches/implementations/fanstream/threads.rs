//! Makes calls on plain blocking threads, one for each call in flight, as a user of the library
//! would write it.

use std::io;
use std::sync::Arc;
use std::thread;

use fanstream::client::ResponseStream;
use fanstream::proto::stream::{Request, Response};
use fanstream::tutorial::FETCH_RESPONSE;
use grpcio::RpcStatusCode;

use crate::common::{Call, Calls};
use crate::Connection;

/// Starts a thread for each call in flight.
pub fn start(connections: &Arc<[Connection]>, calls: &Arc<Calls>) -> io::Result<()> {
    for number in 0..calls.in_flight() {
        let (connections, calls) = (connections.clone(), calls.clone());
        thread::Builder::new()
            .name(format!("call-{number}"))
            .spawn(move || make(&connections, &calls))?;
    }
    Ok(())
}

/// Makes one call after the other until none is left.
fn make(connections: &[Connection], calls: &Arc<Calls>) {
    while let Some(turn) = calls.next() {
        let early = turn.early();
        if !early.is_zero() {
            thread::sleep(early);
        }
        let connection = &connections[turn.connection()];
        let request = Request {
            id: turn.id(),
            ..Request::default()
        };
        let call = turn.start();
        read(connection.client.call(&FETCH_RESPONSE, request), call);
    }
}

fn read(mut responses: ResponseStream<Response>, mut call: Call) {
    let mut end = RpcStatusCode::OK.into();
    for response in &mut responses {
        match response {
            Ok(response) if call.response(&response.result) => return call.hold(responses),
            Ok(_) => {}
            Err(error) => end = error.code().into(),
        }
    }
    call.end(end);
}
