//! One worker, and a session with it: a request, then a response. Every wait has a deadline. It
//! knows no scenario.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, Context, Result};
use futures::executor::block_on;
use futures::{SinkExt, TryStreamExt};
use grpcio::{
    CallOption, ChannelBuilder, ClientDuplexReceiver, ClientDuplexSender, EnvBuilder, Error,
    RpcStatus, RpcStatusCode, WriteFlags,
};

use crate::proto::worker::{ClientArgs, ClientStatus, ServerArgs, ServerStatus, Void};
use crate::proto::worker_grpc::WorkerServiceClient;

/// The time for a worker to start, stop, connect and respond, beyond that of the scenario.
const SPARE: Duration = Duration::from_secs(30);

pub struct Worker {
    role: &'static str,
    address: String,
    stub: WorkerServiceClient,
    limit: Duration,
}

impl Worker {
    /// Connects with the first call. Sessions last at most `limit` and some spare time.
    pub fn new(role: &'static str, address: &str, limit: Duration) -> Worker {
        let env = Arc::new(EnvBuilder::new().cq_count(1).build());
        let channel = ChannelBuilder::new(env).enable_http_proxy(false);
        Worker {
            role,
            address: address.into(),
            stub: WorkerServiceClient::new(channel.connect(address)),
            limit: limit + SPARE,
        }
    }

    /// The name or address of its machine.
    pub fn host(&self) -> Result<&str> {
        let host = self.address.rsplit_once(':').map(|(host, _)| host);
        host.with_context(|| format!("{} has no port", self.address))
    }

    pub fn run_server(&self) -> Result<Session<ServerArgs, ServerStatus>> {
        let (requests, responses) = self.stub.run_server_opt(self.options(self.limit))?;
        Ok(self.session(requests, responses))
    }

    pub fn run_client(&self) -> Result<Session<ClientArgs, ClientStatus>> {
        let (requests, responses) = self.stub.run_client_opt(self.options(self.limit))?;
        Ok(self.session(requests, responses))
    }

    pub fn quit(&self) -> Result<()> {
        let quit = self.stub.quit_worker_opt(&Void::new(), self.options(SPARE));
        quit.map_err(failure)
            .with_context(|| self.name("cannot be ended"))?;
        Ok(())
    }

    fn options(&self, limit: Duration) -> CallOption {
        CallOption::default().wait_for_ready(true).timeout(limit)
    }

    fn session<A, S>(
        &self,
        requests: ClientDuplexSender<A>,
        responses: ClientDuplexReceiver<S>,
    ) -> Session<A, S> {
        Session {
            name: self.name(""),
            requests,
            responses,
            ended: false,
        }
    }

    fn name(&self, what: &str) -> String {
        format!("{} worker {} {what}", self.role, self.address)
            .trim()
            .into()
    }
}

/// A drop before the end waits like [`Session::end`], so that the worker is free again.
pub struct Session<A, S> {
    name: String,
    requests: ClientDuplexSender<A>,
    responses: ClientDuplexReceiver<S>,
    ended: bool,
}

impl<A, S> Session<A, S> {
    /// If the call has ended already, [`Session::receive`] returns the reason.
    pub fn send(&mut self, args: A) {
        let _ = block_on(self.requests.send((args, WriteFlags::default())));
    }

    /// Ends the requests.
    pub fn finish(&mut self) {
        let _ = block_on(self.requests.close());
    }

    pub fn receive(&mut self) -> Result<S> {
        let next = self.next().map_err(failure);
        let next = next.and_then(|response| response.context("it ended without a response"));
        next.with_context(|| self.name.clone())
    }

    /// Waits until the worker has stopped what it ran.
    pub fn end(mut self) -> Result<()> {
        match self.next() {
            Ok(None) => Ok(()),
            // Server and client stop at the same time.
            Err(Error::RpcFailure(status)) if status.code() == RpcStatusCode::CANCELLED => Ok(()),
            Ok(Some(_)) => Err(anyhow!("{}: it responds to nothing", self.name)),
            Err(error) => Err(failure(error).context(self.name.clone())),
        }
    }

    fn next(&mut self) -> Result<Option<S>, Error> {
        let next = block_on(self.responses.try_next());
        self.ended = !matches!(next, Ok(Some(_)));
        next
    }
}

impl<A, S> Drop for Session<A, S> {
    fn drop(&mut self) {
        if !self.ended {
            self.finish();
        }
        while !self.ended {
            // Errors have been reported, or follow from one that has.
            let _ = self.next();
        }
    }
}

fn failure(error: Error) -> anyhow::Error {
    match error {
        Error::RpcFailure(status) | Error::RpcFinished(Some(status)) => describe(&status),
        other => other.into(),
    }
}

fn describe(status: &RpcStatus) -> anyhow::Error {
    anyhow!("{} {}", status.code(), status.message())
}
