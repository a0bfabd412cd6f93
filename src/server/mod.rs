//! The server: from a configuration to listening, and from a shutdown to the end. Flags, signals
//! and logs are its caller's; what happens in a call is the engine's.

pub mod connections;
pub mod listen;
mod memory;
mod standard;

use std::ffi::CStr;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use grpcio::{
    ChannelBuilder, EnvBuilder, Environment, RpcStatus, RpcStatusCode, ServerBuilder,
    ServerCredentials, ShutdownFuture,
};

use crate::address::Address;
use crate::engine::sleeper::Sleeper;
use crate::engine::{Streams, StreamsConfig, Workers, WorkersConfig};
use crate::metrics::{Metrics, Readiness};
use crate::security::{FileError, ServerIdentity, ServerTls, TokenChecker, TokenSet, Watcher};
use crate::service::{stream_service, Tutorial};
use crate::standard::{DescriptorError, Health};
use crate::telemetry::{Collector, CollectorError, Spans, Telemetry};
use connections::ConnectionLimits;
use listen::{bind, Bound, ListenError};
pub use standard::StandardServices;

/// Requests that each poll thread holds open slots for. More than these wait in the C-core, which
/// costs nothing; with grpcio's default of 1024 a shutdown beside a long stream takes seconds.
const REQUEST_SLOTS: usize = 64;

/// Arguments of our own, which the patches in scripts/ccore read.
const MAX_MESSAGE_BYTES: &CStr = c"fanstream.max_message_bytes";
const AWAIT_REQUESTS: &CStr = c"fanstream.await_requests";

/// How long streams that were ended get to have their status read, before their connections are
/// cut.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How long those who watch the server's health get to hear that it is about to end.
const LAST_HEALTH: Duration = Duration::from_millis(200);

/// How long cut connections get to go away.
const CUT: Duration = Duration::from_secs(5);

/// All that a server is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Where it listens.
    pub listen: Address,
    /// What it answers.
    pub tutorial: Tutorial,
    /// The threads that make the responses.
    pub workers: WorkersConfig,
    /// The limits of its streams.
    pub streams: StreamsConfig,
    /// The most streams open at once on one connection; a client keeps further calls back until
    /// one ends. `None` is no limit.
    pub max_streams_per_connection: Option<u32>,
    /// The largest request, in bytes; a larger one ends with RESOURCE_EXHAUSTED.
    pub max_request_bytes: usize,
    /// Serve TLS only. `None` serves in the clear.
    pub tls: Option<ServerTls>,
    /// A file of bearer tokens, one a line; lines that begin with `#` are none. Every call must
    /// show one of them, or ends with UNAUTHENTICATED. Read again when it changes.
    pub token_file: Option<PathBuf>,
    /// The limits of its connections.
    pub connections: ConnectionLimits,
    /// The services for tools, beside the tutorial's.
    pub standard: StandardServices,
    /// Serve metrics, health and readiness over HTTP here: a TCP address. `None` serves none.
    pub metrics: Option<Address>,
    /// Send a span of each call to this collector. `None` makes no spans.
    pub collector: Option<Collector>,
}

impl ServerConfig {
    /// Whether a server could be started with it: its files are read and its host names are
    /// resolved, which blocks. Nothing is bound.
    ///
    /// # Errors
    /// When a file cannot be used, or there can be no such address.
    pub fn check(&self) -> Result<(), StartError> {
        self.tls.as_ref().map(ServerIdentity::load).transpose()?;
        let token_file = self.token_file.as_deref();
        token_file.map(TokenSet::load).transpose()?;
        if let Some(address) = &self.metrics {
            listen::check(address)?;
        }
        Ok(listen::check(&self.listen)?)
    }
}

impl Default for ServerConfig {
    /// The tutorial's server: `localhost:50005`, five responses a second apart; requests of up to
    /// 4 KiB; in the clear, for everybody.
    fn default() -> ServerConfig {
        ServerConfig {
            listen: Address::tutorial(),
            tutorial: Tutorial::default(),
            workers: WorkersConfig::default(),
            streams: StreamsConfig::default(),
            max_streams_per_connection: None,
            max_request_bytes: 4096,
            tls: None,
            token_file: None,
            connections: ConnectionLimits::default(),
            standard: StandardServices::default(),
            metrics: None,
            collector: None,
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A file for TLS or of tokens cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system gives no threads, or takes no signals.
    #[error("the system refuses threads or signals: {0}")]
    Threads(#[from] io::Error),
    /// The protos that reflection is to tell of are broken.
    #[error(transparent)]
    Descriptors(#[from] DescriptorError),
    /// The address for metrics cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Metrics {
        /// As it was given.
        address: Address,
        /// What the system said.
        reason: io::Error,
    },
    /// There can be no such collector.
    #[error(transparent)]
    Collector(#[from] CollectorError),
    /// The C-core refuses.
    #[error("the C-core cannot start a server: {0}")]
    Core(#[from] grpcio::Error),
}

/// A server that serves.
pub struct Server {
    server: grpcio::Server,
    streams: Streams,
    health: Health,
    bound: Bound,
    ready: Readiness,
    metrics: Option<Metrics>,
    spans: Option<Spans>,
    _ebb: memory::Ebb,
    _watcher: Watcher,
    // Dropped last: its poll threads end with it.
    _env: Arc<Environment>,
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Streams that were still open at the end of the grace period and ended with UNAVAILABLE.
    pub aborted: usize,
    /// False when connections were still there after all; nothing is served on them any more.
    pub clean: bool,
}

impl Server {
    /// Binds and serves. Blocks only while files are read and a host name is resolved.
    ///
    /// # Errors
    /// When a file cannot be used, it cannot listen, or the system gives no threads.
    pub fn start(config: &ServerConfig) -> Result<Server, StartError> {
        let tls = config.tls.as_ref().map(ServerIdentity::load).transpose()?;
        let token_file = config.token_file.as_deref();
        let tokens = token_file.map(TokenSet::load).transpose()?;
        let of_tls = tls.iter().map(ServerIdentity::watched);
        let of_tokens = tokens.iter().map(TokenSet::watched);
        let watcher = Watcher::start(of_tls.chain(of_tokens).collect())?;

        let workers = Workers::new(config.workers.clone())?;
        let spans = config.collector.as_ref().map(Spans::start).transpose()?;
        let telemetry = Arc::new(Telemetry::new(spans.clone()));
        let streams = config.streams.clone();
        let streams = Streams::with_observer(workers.clone(), streams, Some(telemetry));
        let ready = Readiness::default();
        // Before the rest is bound: whoever watches sees how it becomes ready.
        let metrics = metrics_of(config, &streams, &workers, &ready)?;
        // As many as this process may use, which can be fewer than the machine has.
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let poll_threads = EnvBuilder::new().cq_count(processors);
        let env = Arc::new(poll_threads.name_prefix("fanstream-poll").build());
        let mut builder = with_limits(ServerBuilder::new(env.clone()), config, env.clone())
            .requests_slot_per_cq(REQUEST_SLOTS)
            .register_service(stream_service(
                streams.clone(),
                config.tutorial.clone(),
                config.max_request_bytes,
            ));
        let (health, services) = config.standard.start(&workers)?;
        for service in services {
            builder = builder.register_service(service);
        }
        if let Some(tokens) = tokens {
            builder = builder.add_checker(TokenChecker(tokens, streams.clone()));
        }
        let mut server = builder.build()?;
        let credentials = || match &tls {
            Some(identity) => identity.credentials(),
            None => ServerCredentials::insecure(),
        };
        let bound = bind(&mut server, &config.listen, &credentials)?;
        server.start();
        ready.set(true);
        Ok(Server {
            ready,
            metrics,
            spans,
            server,
            health,
            bound,
            _ebb: memory::return_at_ebb(workers, streams.clone()),
            _watcher: watcher,
            streams,
            _env: env,
        })
    }

    /// What it listens on.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Where metrics are served, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Metrics::address)
    }

    /// Its open streams.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// What it says of its health: SERVING as a whole (`""`), and of each service.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Drains and ends: NOT_SERVING before anything else, then no new calls, open streams may
    /// finish within `grace`, the rest end with UNAVAILABLE. Blocks until then, and for a few
    /// hundred milliseconds more at most where clients do not read.
    pub fn shutdown(mut self, grace: Duration) -> Drained {
        self.ready.set(false);
        // Who does not read that in time is cut off with the rest.
        self.health.shut_down(LAST_HEALTH);
        self.streams.refuse(unavailable("the server is draining"));
        let mut gone = self.server.shutdown();
        let mut aborted = 0;
        if !self.streams.wait_until_none(grace) {
            let status = unavailable("the server is shutting down; call again");
            aborted = self.streams.abort_all(&status);
            self.streams.wait_until_none(LAST_WORDS);
        }
        // Cuts the connections of those that did not read their status, and idle ones.
        self.server.cancel_all_calls();
        let clean = wait_for(&mut gone, CUT);
        if let Some(spans) = &self.spans {
            spans.shut_down();
        }
        Drained { aborted, clean }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("bound", &self.bound)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}

fn metrics_of(
    config: &ServerConfig,
    streams: &Streams,
    workers: &Workers,
    ready: &Readiness,
) -> Result<Option<Metrics>, StartError> {
    let Some(address) = &config.metrics else {
        return Ok(None);
    };
    let started = Metrics::start(address, streams.clone(), workers.clone(), ready.clone());
    let refused = |reason| StartError::Metrics {
        address: address.clone(),
        reason,
    };
    started.map(Some).map_err(refused)
}

fn with_limits(
    server: ServerBuilder,
    config: &ServerConfig,
    env: Arc<Environment>,
) -> ServerBuilder {
    let at_most = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let mut args = ChannelBuilder::new(env)
        // Otherwise a second server on the same port is no error, and they share its connections.
        .reuse_port(false)
        // The services check the size of a request themselves. The C-core's filter would do it no
        // sooner (it too looks at complete messages), but every response passes through it as
        // well, and without it sending one costs a quarter less.
        .max_receive_message_len(-1)
        // scripts/ccore: a request is refused for what its header announces, before it is received.
        .raw_cfg_int(MAX_MESSAGE_BYTES.into(), at_most(config.max_request_bytes))
        // scripts/ccore: a call takes a request slot when its request has arrived whole. Until then
        // it costs its memory, and nobody waits for it.
        .raw_cfg_int(AWAIT_REQUESTS.into(), 1);
    if let Some(most) = config.max_streams_per_connection {
        args = args.max_concurrent_stream(at_most(most as usize));
    }
    server.channel_args(config.connections.apply(args).build_args())
}

fn unavailable(message: &str) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, message.into())
}

/// Blocks until the server is gone, at most for `timeout`; false when it is not.
fn wait_for(gone: &mut ShutdownFuture, timeout: Duration) -> bool {
    let sleeper = Sleeper::current();
    let mut cx = Context::from_waker(&sleeper.waker);
    let deadline = Instant::now() + timeout;
    loop {
        if let Poll::Ready(ended) = Pin::new(&mut *gone).poll(&mut cx) {
            return ended.is_ok();
        }
        if !sleeper.sleep(Some(deadline)) {
            return false;
        }
    }
}
