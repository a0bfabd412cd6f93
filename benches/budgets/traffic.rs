//! Makes many calls at once from this process, as futures on the C-core's poll threads. It must not
//! know any budget.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::mpsc::Receiver;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::StreamServiceClient;
use futures::StreamExt;
use grpcio::{ChannelBuilder, ClientSStreamReceiver, EnvBuilder, Error, RpcStatusCode};

pub type Responses = ClientSStreamReceiver<Response>;

/// Connections to one server.
pub struct Traffic {
    stubs: Vec<StreamServiceClient>,
}

impl Traffic {
    /// Creates `connections` separate connections; each connects with its first call.
    pub fn new(address: &str, connections: usize) -> Traffic {
        Traffic::tuned(address, connections, |builder| builder)
    }

    /// Like [`Traffic::new`], with other channel settings.
    pub fn tuned(
        address: &str,
        connections: usize,
        tune: fn(ChannelBuilder) -> ChannelBuilder,
    ) -> Traffic {
        let env = Arc::new(EnvBuilder::new().build());
        let connect = |_| {
            let builder = ChannelBuilder::new(env.clone())
                .max_receive_message_len(-1)
                // Channels to the same address would share one connection.
                .use_local_subchannel_pool(true);
            StreamServiceClient::new(tune(builder).connect(address))
        };
        Traffic {
            stubs: (0..connections).map(connect).collect(),
        }
    }

    /// Starts call `n` with id `n`; calls use the connections in turn.
    pub fn call(&self, n: usize) -> Result<Responses> {
        self.request(n, n)
    }

    /// Starts call `n` with another id.
    pub fn request(&self, n: usize, id: usize) -> Result<Responses> {
        let request = Request {
            id: i32::try_from(id)?,
            ..Request::default()
        };
        Ok(self.stub(n).fetch_response(&request)?)
    }

    /// Runs `future` on a poll thread of call `n`. It must not block.
    pub fn spawn(&self, n: usize, future: impl Future<Output = ()> + Send + 'static) {
        self.stub(n).spawn(future);
    }

    fn stub(&self, n: usize) -> &StreamServiceClient {
        &self.stubs[n % self.stubs.len()]
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The call ended with this status.
    Status(RpcStatusCode),
    /// The reader cancelled the call.
    Cancelled,
    /// The call ended without a status.
    Broken,
}

impl End {
    pub const OK: End = End::Status(RpcStatusCode::OK);
}

/// Reads `responses` to its end and passes each response with its number to `each`, which may
/// cancel the call.
pub async fn follow(
    responses: &mut Responses,
    mut each: impl FnMut(u32, Response) -> ControlFlow<()>,
) -> End {
    let mut status = None;
    let mut number = 0;
    loop {
        match responses.next().await {
            Some(Ok(response)) => {
                if each(number, response).is_break() {
                    responses.cancel();
                    return End::Cancelled;
                }
                number += 1;
            }
            // The status may be known before the last messages were read.
            Some(Err(Error::RpcFailure(failure))) if status.is_none() => {
                status = Some(failure.code());
            }
            Some(Err(_)) => return status.map_or(End::Broken, End::Status),
            None => return End::Status(status.unwrap_or(RpcStatusCode::OK)),
        }
    }
}

/// Collects the reports of `count` calls; fails unless all arrive within `timeout`.
pub fn collect<T>(reports: &Receiver<T>, count: usize, timeout: Duration) -> Result<Vec<T>> {
    let deadline = Instant::now() + timeout;
    let next = |n| {
        let left = deadline.saturating_duration_since(Instant::now());
        let report = reports.recv_timeout(left);
        report.with_context(|| format!("{n} of {count} calls reported within {timeout:?}"))
    };
    (0..count).map(next).collect()
}

/// Calls `start` for each of `count` numbers, at `rate` a second.
pub fn ramp(count: usize, rate: usize, mut start: impl FnMut(usize) -> Result<()>) -> Result<()> {
    let began = Instant::now();
    for n in 0..count {
        let due = began + Duration::from_secs_f64(n as f64 / rate as f64);
        let early = due.saturating_duration_since(Instant::now());
        // Not before every call: a sleep costs more than a call.
        if early > Duration::from_millis(1) {
            thread::sleep(early);
        }
        start(n)?;
    }
    Ok(())
}
