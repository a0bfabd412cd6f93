//! Many calls at once from this process: futures on the C-core's poll threads, no thread a call.
//! What a call counts and when is up to each figure.

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
    /// So many connections, each of its own, to be made with the first call on each.
    pub fn new(address: &str, connections: usize) -> Traffic {
        Traffic::tuned(address, connections, |builder| builder)
    }

    /// As [`Traffic::new`], with other settings.
    pub fn tuned(
        address: &str,
        connections: usize,
        tune: fn(ChannelBuilder) -> ChannelBuilder,
    ) -> Traffic {
        let env = Arc::new(EnvBuilder::new().build());
        let connect = |_| {
            let builder = ChannelBuilder::new(env.clone())
                .max_receive_message_len(-1)
                // Otherwise channels to the same address share one connection.
                .use_local_subchannel_pool(true);
            StreamServiceClient::new(tune(builder).connect(address))
        };
        Traffic {
            stubs: (0..connections).map(connect).collect(),
        }
    }

    /// Starts call `n`, with `n` for its id; the connections take turns.
    pub fn call(&self, n: usize) -> Result<Responses> {
        let request = Request {
            id: i32::try_from(n)?,
            ..Request::default()
        };
        Ok(self.stub(n).fetch_response(&request)?)
    }

    /// Runs `future` on a poll thread that serves call `n`. It must not block.
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
    /// With this status.
    Status(RpcStatusCode),
    /// Given up from this side.
    Cancelled,
    /// Without a status.
    Broken,
}

impl End {
    pub const OK: End = End::Status(RpcStatusCode::OK);
}

/// Reads `responses` to its end, handing each response with its number to `each`, which may give
/// the call up.
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

/// The reports of `count` calls; fails when they are not all there within `timeout`.
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
        // Not for every call: sleeping costs more than a call.
        if early > Duration::from_millis(1) {
            thread::sleep(early);
        }
        start(n)?;
    }
    Ok(())
}
