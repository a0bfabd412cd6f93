//! The only file that uses the engine: a server with a streaming method and a ping method that the
//! poll thread answers, connections to it, and queries of their state. Of a scenario it knows only
//! the plan of the server.

use std::sync::{mpsc, Arc, LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fanstream::engine::{
    receive, CallEnd, CallObserver, Capacity, Limits, Observer, Rate, ReceiveError,
    ReceiveTimeouts, Responses, Streams, StreamsConfig, Workers, WorkersConfig,
};
pub use fanstream::engine::{CallContext, Job, Jobs, Next, Payload, Produced};
pub use fanstream::Status;
use futures::executor::block_on;
use futures::FutureExt;
use grpcio::{
    CallOption, Channel, ChannelBuilder, Client, EnvBuilder, Environment, MetadataBuilder,
    RpcContext, RpcStatus, RpcStatusCode, Server, ServerBuilder, ServerCredentials,
    ServerStreamingSink, ServiceBuilder, UnarySink,
};

use super::message::{Message, Received, PING, RECEIVE, STREAM};
use super::probe::{lock, Common, Probe, ServerEnd};
use super::producer::opening;
use super::scenario::ServerPlan;

const CALL_ID: &str = "call-id";

/// The message of a call that a draining server refuses.
pub const DRAINING: &str = "planned: the server drains";

/// The engine behind a real server, and connections to it.
pub struct Engine {
    streams: Streams,
    workers: Workers,
    server: Mutex<Server>,
    channels: Vec<Channel>,
    /// A separate connection, so that pings don't wait for other traffic.
    pings: Channel,
}

/// The load of the worker pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    pub ready: usize,
    pub scheduled: usize,
}

/// The end of a call for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Ok,
    Status(RpcStatusCode, String),
    /// The client's own receive timeout, of this length.
    TimedOut(Duration),
    Broken(String),
}

/// The responses of one call.
pub struct Call(Responses<Received>);

impl Engine {
    pub fn start(plan: &ServerPlan, common: &Arc<Common>) -> Engine {
        let workers = Workers::new(WorkersConfig {
            max_threads: plan.workers,
            ..WorkersConfig::default()
        })
        .unwrap();
        let streams = Streams::with_observer(
            workers.clone(),
            streams_config(plan),
            Some(Arc::new(Recorder)),
        );
        // With one poll thread, every block is noticed.
        let poll = Arc::new(EnvBuilder::new().cq_count(1).build());
        let mut server = with_connection_age(plan, poll)
            .requests_slot_per_cq(128)
            .register_service(service(streams.clone(), common.clone()))
            .build()
            .unwrap();
        let port = server.add_listening_port("127.0.0.1:0", ServerCredentials::insecure());
        let address = format!("127.0.0.1:{}", port.unwrap());
        server.start();
        let channel = |small| connect(&address, small);
        Engine {
            channels: (0..plan.connections)
                .map(|_| channel(plan.small_windows))
                .collect(),
            pings: channel(false),
            streams,
            workers,
            server: Mutex::new(server),
        }
    }

    /// Starts a call that waits at most `timeout` for each response.
    pub fn call(&self, probe: &Probe, timeout: Duration) -> Call {
        let channel = &self.channels[probe.id as usize % self.channels.len()];
        let mut headers = MetadataBuilder::new();
        headers.add_str(CALL_ID, &probe.id.to_string()).unwrap();
        let mut options = CallOption::default().headers(headers.build());
        if let Some(ms) = probe.plan.reader.deadline_ms {
            options = options.timeout(Duration::from_millis(ms));
        }
        let client = Client::new(channel.clone());
        let stream = client
            .server_streaming(&RECEIVE, &probe.id, options)
            .unwrap();
        let timeouts = ReceiveTimeouts {
            first: Some(timeout),
            idle: Some(timeout),
        };
        let capacity = Capacity::messages(probe.plan.reader.capacity);
        Call(receive(&client, stream, capacity, timeouts))
    }

    /// The response time of the poll thread.
    pub fn ping(&self, timeout: Duration) -> Result<Duration, String> {
        let asked = Instant::now();
        let options = CallOption::default().timeout(timeout);
        let answer = Client::new(self.pings.clone()).unary_call(&PING, &1, options);
        match answer {
            Ok(_) => Ok(asked.elapsed()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub fn open(&self) -> usize {
        self.streams.open()
    }

    pub fn pool(&self) -> Pool {
        let status = self.workers.status();
        Pool {
            ready: status.ready,
            scheduled: status.scheduled,
        }
    }

    /// Calls that arrived, and calls that ended, as the engine counts them.
    pub fn counts(&self) -> (u64, u64) {
        let methods = self.streams.snapshot().methods;
        let ended = methods.iter().map(|m| m.handled.iter().sum::<u64>()).sum();
        (methods.iter().map(|m| m.started).sum(), ended)
    }

    pub fn abort_all(&self, code: RpcStatusCode, message: &str) {
        let status = RpcStatus::with_message(code, message.into());
        self.streams.abort_all(&status);
    }

    /// Shuts down as `fanstream::server` does. Takes `grace` and the time that the connections
    /// need, unless it hangs: then an error says where. The calls end in any case.
    pub fn shut_down(&self, grace: Duration, limit: Duration) -> Result<(), String> {
        const LAST_WORDS: Duration = Duration::from_millis(100);
        let unavailable =
            |text: &str| RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, text.into());
        self.streams.refuse(unavailable(DRAINING));
        let gone = lock(&self.server).shutdown();
        if !self.streams.wait_until_none(grace) {
            self.streams
                .abort_all(&unavailable("planned: the server shuts down"));
            self.streams.wait_until_none(LAST_WORDS);
        }
        lock(&self.server).cancel_all_calls();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let _ = tell.send(block_on(gone).is_ok());
        });
        match told.recv_timeout(limit) {
            Ok(true) => Ok(()),
            Ok(false) => Err("the shutdown failed".into()),
            Err(_) => Err(format!("the shutdown took longer than {limit:?}")),
        }
    }
}

impl Call {
    /// The next message, or the end.
    pub fn next(&mut self) -> Result<Received, End> {
        match self.0.next() {
            Some(Ok(message)) => Ok(message),
            None => Err(End::Ok),
            Some(Err(ReceiveError::Status(status))) => {
                Err(End::Status(status.code(), status.message().into()))
            }
            Some(Err(ReceiveError::FirstTimeout(t) | ReceiveError::IdleTimeout(t))) => {
                Err(End::TimedOut(t))
            }
            Some(Err(ReceiveError::Broken(error))) => Err(End::Broken(error.to_string())),
            Some(Err(other)) => Err(End::Broken(other.to_string())),
        }
    }

    pub fn cancel(&mut self) {
        self.0.cancel();
    }

    /// Checks that nothing follows the end or a cancel.
    pub fn yields_nothing(&mut self) -> bool {
        self.0.next().is_none()
    }

    pub fn status(&self) -> Option<RpcStatusCode> {
        self.0.status().map(|status| status.code())
    }
}

fn streams_config(plan: &ServerPlan) -> StreamsConfig {
    let default = StreamsConfig::default();
    StreamsConfig {
        capacity: Capacity {
            messages: plan.messages,
            bytes: plan.bytes,
        },
        max_streams: plan.max_streams.unwrap_or(default.max_streams),
        limits: Limits {
            max_streams_per_peer: plan.max_streams_per_peer,
            rate_per_peer: plan.rate_per_peer.map(Rate::per_second),
            max_stream_age: plan.max_age_ms.map(Duration::from_millis),
            write_stall_timeout: plan.write_stall(),
        },
    }
}

fn with_connection_age(plan: &ServerPlan, poll: Arc<Environment>) -> ServerBuilder {
    let builder = ServerBuilder::new(poll.clone());
    let Some(ms) = plan.connection_age_ms else {
        return builder;
    };
    let args = ChannelBuilder::new(poll)
        .raw_cfg_int(c"grpc.max_connection_age_ms".to_owned(), ms as i32)
        .raw_cfg_int(c"grpc.max_connection_age_grace_ms".to_owned(), 10);
    builder.channel_args(args.build_args())
}

fn service(streams: Streams, common: Arc<Common>) -> grpcio::Service {
    let stream = move |ctx: RpcContext<'_>, id: u64, sink: ServerStreamingSink<Message>| {
        common.note_poll_thread();
        let Some(probe) = Probe::find(id) else { return };
        streams.serve(&ctx, sink, opening(probe));
    };
    let ping = |ctx: RpcContext<'_>, number: u64, sink: UnarySink<u64>| {
        ctx.spawn(sink.success(number).map(|_| ()));
    };
    ServiceBuilder::new()
        .add_server_streaming_handler(&STREAM, stream)
        .add_unary_handler(&PING, ping)
        .build()
}

/// Two poll threads for all clients of the process.
fn connect(address: &str, small_windows: bool) -> Channel {
    static POLL: LazyLock<Arc<Environment>> =
        LazyLock::new(|| Arc::new(EnvBuilder::new().cq_count(2).build()));
    let mut builder = ChannelBuilder::new(POLL.clone())
        // Otherwise all channels to one address share a connection.
        .raw_cfg_int(c"grpc.use_local_subchannel_pool".to_owned(), 1);
    if small_windows {
        builder = builder
            .http2_bdp_probe(false)
            .stream_initial_window_size(64 << 10);
    }
    builder.connect(address)
}

/// An observer that reports to the probes.
struct Recorder;

impl Observer for Recorder {
    fn arrived(&self, ctx: &RpcContext<'_>) -> Box<dyn CallObserver> {
        let id = ctx
            .request_headers()
            .iter()
            .find(|(key, _)| *key == CALL_ID);
        let id = id.and_then(|(_, id)| std::str::from_utf8(id).ok()?.parse().ok());
        let probe = id.and_then(Probe::find);
        if let Some(probe) = &probe {
            probe.arrived();
        }
        Box::new(Recording(Mutex::new(probe)))
    }
}

struct Recording(Mutex<Option<Arc<Probe>>>);

impl CallObserver for Recording {
    fn ended(self: Box<Self>, end: &CallEnd) {
        if let Some(probe) = lock(&self.0).take() {
            probe.ended(ServerEnd {
                code: end.code,
                messages: end.counts.messages,
                refused: end.refused.is_some(),
            });
        }
    }
}
