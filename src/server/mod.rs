//! Starts a server for any services. It must not know flags, nor how calls run: that is the
//! engine's part. The shutdown is in `drain.rs`.

mod builder;
#[cfg(feature = "services")]
mod builtin_services;
mod check;
mod config;
pub mod connections;
mod drain;
mod error;
mod handle;
pub mod listen;
mod memory;
mod observers;
mod reload;
mod service;
mod signals;
mod threads;

pub use builder::ServerBuilder;
#[cfg(feature = "services")]
pub use builtin_services::ServicesConfig;
pub use config::ServerConfig;
pub use drain::Drained;
pub use error::StartError;
pub use handle::ServerHandle;
pub use service::Service;
pub use signals::Signals;

use std::ffi::CStr;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread;

use grpcio::{ChannelBuilder, EnvBuilder, Environment, ServerBuilder as Core, ServerCredentials};

use crate::address::Address;
use crate::c_core::{redirect_log, warn_if_unpatched};
use crate::engine::{frames, Observer, Streams, Workers};
use crate::gzip;
use crate::message_size::limit_messages;
#[cfg(feature = "metrics")]
use crate::metrics::{Metrics, Readiness};
#[cfg(feature = "tls")]
use crate::security::{ServerIdentity, TokenChecker, TokenSet, Watcher};
#[cfg(feature = "services")]
use crate::services::{Health, MAX_REQUEST_BYTES};
#[cfg(feature = "otlp")]
use crate::telemetry::Spans;
use crate::telemetry::{Telemetry, Traces};
use check::Checker;
use drain::Progress;
use listen::{bind, Bound};
use observers::Observers;

/// Request slots of all poll threads together, 0.4 KB each. With the patches in scripts/ccore a
/// call occupies one only briefly, once its request has arrived.
const REQUEST_SLOTS: usize = 2_048;

/// The same where a call occupies a slot until its request has arrived: 20 connections with 1,000
/// half-open calls each leave slots for others.
const REQUEST_SLOTS_OF_HALF_OPEN_CALLS: usize = 20_480;

/// Channel arguments that the patches in scripts/ccore add. An unpatched C-core ignores them.
const AWAIT_REQUESTS: &CStr = c"fanstream.await_requests";

/// As the patch of that name describes: one write for all streams of a connection that have
/// something to send. Not beside generated code: its handlers may block the poll thread, or cancel
/// their calls by dropping the requests once they have started to send a status.
const WRITE_BEFORE_POLL: &CStr = c"fanstream.write_before_poll";

/// A running server, made by [`Server::builder`].
///
/// Dropping it without a shutdown ends all calls at once.
pub struct Server {
    running: Arc<Running>,
}

/// The parts of a running server, for [`Server`] and [`ServerHandle`].
struct Running {
    core: Mutex<grpcio::Server>,
    progress: Progress,
    streams: Streams,
    bound: Vec<Bound>,
    #[cfg(feature = "services")]
    health: Health,
    #[cfg(feature = "metrics")]
    ready: Readiness,
    #[cfg(feature = "metrics")]
    metrics: Option<Metrics>,
    #[cfg(feature = "otlp")]
    spans: Option<Spans>,
    #[cfg(feature = "tls")]
    watcher: Watcher,
    // Dropped last, because it ends the poll threads.
    _env: Arc<Environment>,
}

impl Server {
    /// Returns a builder with the default configuration.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    fn start(builder: ServerBuilder) -> Result<Server, StartError> {
        let config = &builder.config;
        if config.listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        redirect_log();
        warn_if_unpatched();
        threads::check(config)?;
        #[cfg(feature = "tls")]
        let security = Security::load(config)?;

        let workers = Workers::new(config.workers.clone())?;
        #[cfg(feature = "otlp")]
        let spans = config.collector.as_ref().map(Spans::start).transpose()?;
        #[cfg(feature = "otlp")]
        let traces = Traces(spans.clone());
        #[cfg(not(feature = "otlp"))]
        let traces = Traces;
        let telemetry = Telemetry::new(traces);
        let mut observer: Arc<dyn Observer> = Arc::new(telemetry);
        if !builder.observers.is_empty() {
            let all = [observer].into_iter().chain(builder.observers);
            observer = Arc::new(Observers(all.collect()));
        }
        let streams = config.streams.clone();
        let streams = Streams::with_observer(workers.clone(), streams, Some(observer));
        #[cfg(feature = "metrics")]
        let ready = Readiness::default();
        // Bound first, so that probes see "not ready" during the start.
        #[cfg(feature = "metrics")]
        let metrics = start_metrics(config, &streams, &workers, &ready, &builder.services)?;

        // The processors available to this process, possibly fewer than the machine's.
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let poll_threads = EnvBuilder::new().cq_count(processors);
        let env = Arc::new(poll_threads.name_prefix("fanstream-poll").build());
        let is_generated = builder.services.iter().any(Service::is_generated);
        let is_framed = joins_messages(config, is_generated);
        let core = Core::new(env.clone());
        let slots = match config.await_requests && frames::are_supported() {
            true => REQUEST_SLOTS,
            false => REQUEST_SLOTS_OF_HALF_OPEN_CALLS,
        };
        let mut core = with_limits(core, config, is_generated, is_framed, env.clone())
            .requests_slot_per_cq(slots.div_ceil(processors));
        #[cfg(feature = "services")]
        let health = {
            let names = builder.services.iter().flat_map(Service::names).collect();
            let descriptors = builder.descriptors;
            let (health, services) =
                config
                    .services
                    .start(names, descriptors, &workers, &streams)?;
            core = register(core, services);
            health
        };
        let framed = match is_framed {
            true => streams.framed(),
            false => streams.clone(),
        };
        for service in builder.services {
            core = register(core, service.build(&framed, config.max_request_bytes));
        }
        #[cfg(feature = "tls")]
        if let Some(tokens) = security.tokens {
            core = core.add_checker(TokenChecker(tokens, streams.clone()));
        }
        for check in builder.checks {
            core = core.add_checker(Checker(check, streams.clone()));
        }
        let mut server = core.build()?;
        #[cfg(feature = "tls")]
        let credentials = || match &security.identity {
            Some(identity) => identity.credentials(),
            None => ServerCredentials::insecure(),
        };
        #[cfg(not(feature = "tls"))]
        let credentials = ServerCredentials::insecure;
        let bound = config.listen.iter();
        let bound = bound.map(|address| bind(&mut server, address, &credentials));
        let bound = bound.collect::<Result<_, _>>()?;
        server.start();
        #[cfg(feature = "metrics")]
        ready.set(true);
        let running = Running {
            core: Mutex::new(server),
            progress: Progress::default(),
            bound,
            #[cfg(feature = "services")]
            health,
            #[cfg(feature = "metrics")]
            ready,
            #[cfg(feature = "metrics")]
            metrics,
            #[cfg(feature = "otlp")]
            spans,
            #[cfg(feature = "tls")]
            watcher: security.watcher,
            streams,
            _env: env,
        };
        Ok(Server {
            running: Arc::new(running),
        })
    }

    /// Returns the first bound address, with the port that the system chose for port 0. For a client
    /// in the same process, such as in a test.
    pub fn address(&self) -> &Address {
        &self.running.bound[0].address
    }

    /// Returns the bound addresses, in the order of the configuration. There is at least one.
    pub fn bound(&self) -> &[Bound] {
        &self.running.bound
    }

    /// Returns the address of the metrics, if they are enabled.
    #[cfg(feature = "metrics")]
    pub fn metrics_address(&self) -> Option<std::net::SocketAddr> {
        self.running.metrics.as_ref().map(Metrics::address)
    }

    /// Returns its streams, for example to count or abort them.
    pub fn streams(&self) -> &Streams {
        &self.running.streams
    }

    /// Returns its health. At the start, the server (`""`) and each service are SERVING.
    #[cfg(feature = "services")]
    pub fn health(&self) -> &Health {
        &self.running.health
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("bound", &self.running.bound)
            .field("streams", &self.running.streams)
            .finish_non_exhaustive()
    }
}

/// The loaded TLS and token files, and the thread that reloads them.
#[cfg(feature = "tls")]
struct Security {
    identity: Option<ServerIdentity>,
    tokens: Option<TokenSet>,
    watcher: Watcher,
}

#[cfg(feature = "tls")]
impl Security {
    fn load(config: &ServerConfig) -> Result<Security, StartError> {
        let identity = config.tls.as_ref().map(ServerIdentity::load).transpose()?;
        let token_file = config.token_file.as_deref();
        let tokens = token_file.map(TokenSet::load).transpose()?;
        let of_tls = identity.iter().flat_map(ServerIdentity::watched);
        let of_tokens = tokens.iter().flat_map(TokenSet::watched);
        Ok(Security {
            watcher: Watcher::start(of_tls.chain(of_tokens).collect())?,
            identity,
            tokens,
        })
    }
}

fn register(core: Core, services: Vec<grpcio::Service>) -> Core {
    services.into_iter().fold(core, Core::register_service)
}

#[cfg(feature = "metrics")]
fn start_metrics(
    config: &ServerConfig,
    streams: &Streams,
    workers: &Workers,
    ready: &Readiness,
    services: &[Service],
) -> Result<Option<Metrics>, StartError> {
    let Some(address) = &config.metrics else {
        return Ok(None);
    };
    let unary_methods = services.iter().flat_map(Service::unary_methods).collect();
    let (streams, workers, ready) = (streams.clone(), workers.clone(), ready.clone());
    let started = Metrics::start(address, streams, workers, ready, unary_methods);
    let refused = |reason| StartError::Metrics {
        address: address.clone(),
        reason,
    };
    started.map(Some).map_err(refused)
}

/// Whether small messages leave together. Compression takes each message on its own, and generated
/// code may set the flag that marks joined messages.
fn joins_messages(config: &ServerConfig, is_generated: bool) -> bool {
    frames::are_supported() && !config.gzip && !is_generated
}

fn with_limits(
    server: Core,
    config: &ServerConfig,
    is_generated: bool,
    is_framed: bool,
    env: Arc<Environment>,
) -> Core {
    let at_most = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let mut args = ChannelBuilder::new(env)
        // Otherwise a second server could bind the same port, and both would share its connections.
        .reuse_port(false)
        // Services check the size of requests themselves, except those of generated code. The
        // C-core's filter also checks complete messages only, and every response passes through it:
        // without the filter, sending costs a quarter less.
        .max_receive_message_len(match is_generated {
            true => at_most(config.max_request_bytes),
            false => -1,
        })
        // A call occupies a request slot only once its request is complete. Until then it occupies
        // memory only.
        .raw_cfg_int(AWAIT_REQUESTS.into(), config.await_requests.into())
        .raw_cfg_int(WRITE_BEFORE_POLL.into(), (!is_generated).into())
        .raw_cfg_int(frames::FRAMED_MESSAGES.into(), is_framed.into());
    // A larger request is refused by its length prefix, before its content arrives.
    let largest = config.max_request_bytes;
    #[cfg(feature = "services")]
    let largest = largest.max(MAX_REQUEST_BYTES);
    args = limit_messages(args, largest);
    // For channelz the C-core counts every message: 4 to 6 % of a tiny one.
    #[cfg(feature = "services")]
    let channelz = config.services.channelz;
    #[cfg(not(feature = "services"))]
    let channelz = false;
    args = args.raw_cfg_int(c"grpc.enable_channelz".to_owned(), channelz.into());
    if config.gzip {
        args = gzip::compress_responses(args);
    }
    if let Some(most) = config.max_streams_per_connection {
        args = args.max_concurrent_stream(at_most(most as usize));
    }
    server.channel_args(config.connections.apply(args).build_args())
}
