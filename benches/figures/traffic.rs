//! Many calls at once from this process: futures on the C-core's poll threads, no thread a call.
//! What a call counts and when is up to each figure.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::StreamServiceClient;
use futures::channel::mpsc::{unbounded, UnboundedReceiver};
use futures::StreamExt;
use grpcio::{
    ChannelBuilder, ClientSStreamReceiver, EnvBuilder, Environment, Error, RpcStatusCode,
};

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
        let env: Arc<Environment> = Arc::new(EnvBuilder::new().build());
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

/// What the calls report, collected by the thread that measures.
pub struct Reports<T> {
    reports: UnboundedReceiver<T>,
}

impl<T> Reports<T> {
    /// Also what the calls report into.
    pub fn new() -> (futures::channel::mpsc::UnboundedSender<T>, Reports<T>) {
        let (sender, reports) = unbounded();
        (sender, Reports { reports })
    }
}
