//! Starts a server from its configuration, and shuts it down. It must not know flags or signals;
//! calls are the engine's.

pub mod connections;
mod heap_trim;
pub mod listen;
mod memory_limit;
mod services;

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
use crate::services::{DescriptorError, Health, MAX_REQUEST};
use crate::telemetry::{Collector, CollectorError, Spans, Telemetry};
use connections::ConnectionLimits;
use heap_trim::HeapTrim;
use listen::{bind, Bound, ListenError};
pub use services::ServicesConfig;

/// Request slots of all poll threads together, 0.4 KB each. With the patches in scripts/ccore a call
/// takes one for a moment, when its request is there. Without them it holds one until then: 20
/// connections with [`MAX_STREAMS_PER_CONNECTION`] half-open calls each leave some for others.
const REQUEST_SLOTS: usize = 20_480;

/// Default of [`ServerConfig::max_streams_per_connection`].
const MAX_STREAMS_PER_CONNECTION: u32 = 1_000;

/// Channel arguments of our own. The patches in scripts/ccore read them; an unpatched C-core ignores
/// them.
const MAX_MESSAGE_BYTES: &CStr = c"fanstream.max_message_bytes";
const AWAIT_REQUESTS: &CStr = c"fanstream.await_requests";

/// Time for clients to read the status of an aborted stream, before their connections are closed.
const STATUS_TIMEOUT: Duration = Duration::from_millis(300);

/// Time for Watch calls to receive NOT_SERVING at a shutdown.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(200);

/// Time for cancelled connections to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Configuration of a [`Server`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: Address,
    /// The responses of the tutorial's service.
    pub tutorial: Tutorial,
    /// The threads that run producers.
    pub workers: WorkersConfig,
    /// Limits of streams.
    pub streams: StreamsConfig,
    /// The most streams open at once on one connection. A client holds back further calls until one of
    /// them ends. `None` is no limit.
    pub max_streams_per_connection: Option<u32>,
    /// The largest request, in bytes. A larger one ends with RESOURCE_EXHAUSTED.
    pub max_request_bytes: usize,
    /// Serve TLS only. `None` serves in the clear.
    pub tls: Option<ServerTls>,
    /// A file of bearer tokens, one a line, with comments after `#`. A call without one of them ends
    /// with UNAUTHENTICATED. The file is reloaded when it changes; an emptied or deleted file revokes
    /// all tokens.
    pub token_file: Option<PathBuf>,
    /// Limits of connections and their memory.
    pub connections: ConnectionLimits,
    /// Services for tools, beside the tutorial's.
    pub services: ServicesConfig,
    /// The TCP address of metrics, health and readiness over HTTP. `None` serves none.
    pub metrics: Option<Address>,
    /// The collector that receives a span of each call. `None` makes no spans.
    pub collector: Option<Collector>,
}

impl ServerConfig {
    /// Checks whether a server could start: reads the files and resolves host names, which blocks.
    /// Binds nothing.
    ///
    /// # Errors
    /// When a file or an address cannot be used.
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
    /// 4 KiB, 1,000 streams on a connection; in the clear, for everybody.
    fn default() -> ServerConfig {
        ServerConfig {
            listen: Address::tutorial(),
            tutorial: Tutorial::default(),
            workers: WorkersConfig::default(),
            streams: StreamsConfig::default(),
            max_streams_per_connection: Some(MAX_STREAMS_PER_CONNECTION),
            max_request_bytes: 4096,
            tls: None,
            token_file: None,
            connections: ConnectionLimits::default(),
            services: ServicesConfig::default(),
            metrics: None,
            collector: None,
        }
    }
}

/// A server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A file for TLS or of tokens cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system refuses threads or signals.
    #[error("the system refuses threads or signals: {0}")]
    Threads(#[from] io::Error),
    /// The descriptors for reflection are broken.
    #[error(transparent)]
    Descriptors(#[from] DescriptorError),
    /// The address for metrics cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Metrics {
        /// The configured address.
        address: Address,
        /// The system's error.
        reason: io::Error,
    },
    /// The collector's URL cannot be used.
    #[error(transparent)]
    Collector(#[from] CollectorError),
    /// The C-core refuses to start.
    #[error("the C-core cannot start a server: {0}")]
    Core(#[from] grpcio::Error),
}

/// A running server.
pub struct Server {
    server: grpcio::Server,
    streams: Streams,
    health: Health,
    bound: Bound,
    ready: Readiness,
    metrics: Option<Metrics>,
    spans: Option<Spans>,
    _heap_trim: HeapTrim,
    _watcher: Watcher,
    // Dropped last: its poll threads end with it.
    _env: Arc<Environment>,
}

/// Outcome of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Streams that were open at the end of the grace period, and ended with UNAVAILABLE.
    pub aborted: usize,
    /// False when connections stayed open for 5 s after the last stream had ended. They serve nothing
    /// any more.
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
        // Before the rest is bound, so that probes see NOT READY first.
        let metrics = metrics_of(config, &streams, &workers, &ready)?;
        // Those that this process may use, which can be fewer than the machine's.
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let poll_threads = EnvBuilder::new().cq_count(processors);
        let env = Arc::new(poll_threads.name_prefix("fanstream-poll").build());
        let mut builder = with_limits(ServerBuilder::new(env.clone()), config, env.clone())
            .requests_slot_per_cq(REQUEST_SLOTS.div_ceil(processors))
            .register_service(stream_service(
                streams.clone(),
                config.tutorial.clone(),
                config.max_request_bytes,
            ));
        let (health, services) = config.services.start(&workers, &streams)?;
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
            _heap_trim: HeapTrim::start(workers, streams.clone()),
            _watcher: watcher,
            streams,
            _env: env,
        })
    }

    /// The addresses it listens on.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The address of the metrics, if there are any.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Metrics::address)
    }

    /// Its open streams.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Its health: SERVING as a whole (`""`) and for each service.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Drains and stops: reports NOT_SERVING, refuses new calls, lets open streams finish within
    /// `grace`, and ends the rest with UNAVAILABLE. Blocks until then, and half a second longer where
    /// clients do not read; 5 s more at most where connections do not close.
    pub fn shutdown(mut self, grace: Duration) -> Drained {
        self.ready.set(false);
        // Watch calls that are not read in time end with the rest.
        self.health.shut_down(HEALTH_TIMEOUT);
        self.streams.refuse(unavailable("the server is draining"));
        let mut stopped = self.server.shutdown();
        let mut aborted = 0;
        if !self.streams.wait_until_none(grace) {
            let status = unavailable("the server is shutting down; call again");
            aborted = self.streams.abort_all(&status);
            self.streams.wait_until_none(STATUS_TIMEOUT);
        }
        // Closes idle connections, and those whose clients did not read their status.
        self.server.cancel_all_calls();
        let clean = wait_for(&mut stopped, CLOSE_TIMEOUT);
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
        // The services check the size of a request themselves. The C-core's filter checks no
        // sooner, on complete messages, and every response passes through it too: without it,
        // sending costs a quarter less.
        .max_receive_message_len(-1)
        // A call takes a request slot when its request has arrived whole. Until then it costs its
        // memory, and nothing waits for it.
        .raw_cfg_int(AWAIT_REQUESTS.into(), 1);
    // A larger request is refused when it is announced, before it arrives.
    let largest = config.max_request_bytes.max(MAX_REQUEST);
    if let Ok(largest) = i32::try_from(largest) {
        args = args.raw_cfg_int(MAX_MESSAGE_BYTES.into(), largest);
    }
    if let Some(most) = config.max_streams_per_connection {
        args = args.max_concurrent_stream(at_most(most as usize));
    }
    server.channel_args(config.connections.apply(args).build_args())
}

fn unavailable(message: &str) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, message.into())
}

/// Blocks until the C-core has shut down, at most for `timeout`; false when it has not.
fn wait_for(stopped: &mut ShutdownFuture, timeout: Duration) -> bool {
    let sleeper = Sleeper::current();
    let mut cx = Context::from_waker(&sleeper.waker);
    let deadline = Instant::now() + timeout;
    loop {
        if let Poll::Ready(ended) = Pin::new(&mut *stopped).poll(&mut cx) {
            return ended.is_ok();
        }
        if !sleeper.sleep(Some(deadline)) {
            return false;
        }
    }
}
