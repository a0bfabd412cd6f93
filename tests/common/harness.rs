//! The engine between a real server and a real client in one process: a test supplies the function
//! that opens a call, and iterates the responses.

#![allow(dead_code)] // each test program uses its part of it

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use fanstream::engine::{
    receive, CallContext, Capacity, Jobs, Produced, ReceiveError, ReceiveTimeouts, Responses,
    Streams, StreamsConfig, Workers, WorkersConfig,
};
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::{create_stream_service, StreamService, StreamServiceClient};
use fanstream::Status;
use grpcio::{
    CallOption, Channel, ChannelBuilder, Client, EnvBuilder, RpcContext, RpcStatus, RpcStatusCode,
    Server, ServerBuilder, ServerStreamingSink,
};

use super::transport::{Transport, TransportSetup};

/// The deadline of every wait: a test that reaches it hangs, even on a busy machine.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(30);

type Opened = Result<Jobs<Response>, Status>;
type Open = Arc<dyn Fn(i32, &CallContext) -> Opened + Send + Sync>;

/// A server on a free port with one poll thread, and a channel to it.
pub struct Harness {
    pub workers: Workers,
    pub streams: Streams,
    /// `host:port`.
    pub address: String,
    channel: Channel,
    setup: TransportSetup,
    _server: Server,
}

impl Harness {
    /// With the default configuration.
    pub fn start(
        transport: Transport,
        open: impl Fn(i32, &CallContext) -> Opened + Send + Sync + 'static,
    ) -> Harness {
        Harness::with(
            transport,
            WorkersConfig::default(),
            StreamsConfig::default(),
            open,
        )
    }

    pub fn with(
        transport: Transport,
        workers: WorkersConfig,
        streams: StreamsConfig,
        open: impl Fn(i32, &CallContext) -> Opened + Send + Sync + 'static,
    ) -> Harness {
        let workers = Workers::new(workers).unwrap();
        let streams = Streams::new(workers.clone(), streams);
        let service = Service {
            streams: streams.clone(),
            open: Arc::new(open),
        };
        let poll = Arc::new(EnvBuilder::new().cq_count(1).build());
        let mut server = ServerBuilder::new(poll)
            .requests_slot_per_cq(16)
            .register_service(create_stream_service(service))
            .build()
            .unwrap();
        let setup = transport.set_up();
        let port = server.add_listening_port("127.0.0.1:0", setup.server_credentials());
        server.start();
        let address = format!("127.0.0.1:{}", port.unwrap());
        Harness {
            workers,
            streams,
            channel: connect(&setup, &address, |channel| channel),
            address,
            setup,
            _server: server,
        }
    }

    /// A further channel, to the server or to a proxy in front of it.
    pub fn connect(
        &self,
        address: &str,
        with: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
    ) -> Channel {
        connect(&self.setup, address, with)
    }

    pub fn call_over(&self, channel: &Channel, id: i32) -> Responses<Response> {
        let options = CallOption::default();
        receive_over(channel, id, options, Capacity::default(), TEST_TIMEOUT)
    }

    pub fn call(&self, id: i32) -> Responses<Response> {
        self.call_with(id, CallOption::default(), Capacity::default())
    }

    pub fn call_with(
        &self,
        id: i32,
        options: CallOption,
        capacity: Capacity,
    ) -> Responses<Response> {
        self.receive(id, options, capacity, TEST_TIMEOUT)
    }

    /// With these timeouts for each response.
    pub fn call_impatient(&self, id: i32, timeouts: Duration) -> Responses<Response> {
        self.receive(id, CallOption::default(), Capacity::default(), timeouts)
    }

    fn receive(
        &self,
        id: i32,
        options: CallOption,
        capacity: Capacity,
        timeouts: Duration,
    ) -> Responses<Response> {
        receive_over(&self.channel, id, options, capacity, timeouts)
    }
}

fn connect(
    setup: &TransportSetup,
    address: &str,
    with: impl FnOnce(ChannelBuilder) -> ChannelBuilder,
) -> Channel {
    let poll = Arc::new(EnvBuilder::new().cq_count(1).build());
    setup.connect(with(ChannelBuilder::new(poll)), address)
}

/// A client, in the clear, of any server of the tutorial's method.
pub struct Caller(Channel);

impl Caller {
    pub fn new(address: &str) -> Caller {
        Caller(connect(&Transport::Clear.set_up(), address, |channel| {
            channel
        }))
    }

    pub fn call(&self, id: i32) -> Responses<Response> {
        let options = CallOption::default();
        receive_over(&self.0, id, options, Capacity::default(), TEST_TIMEOUT)
    }
}

fn receive_over(
    channel: &Channel,
    id: i32,
    options: CallOption,
    capacity: Capacity,
    timeouts: Duration,
) -> Responses<Response> {
    let request = Request {
        id,
        ..Request::default()
    };
    let stub = StreamServiceClient::new(channel.clone());
    let stream = stub.fetch_response_opt(&request, options).unwrap();
    let timeouts = ReceiveTimeouts {
        first: Some(timeouts),
        idle: Some(timeouts),
    };
    receive(&Client::new(channel.clone()), stream, capacity, timeouts)
}

#[derive(Clone)]
struct Service {
    streams: Streams,
    open: Open,
}

impl StreamService for Service {
    fn fetch_response(
        &mut self,
        ctx: RpcContext<'_>,
        request: Request,
        sink: ServerStreamingSink<Response>,
    ) {
        let open = self.open.clone();
        self.streams
            .serve(&ctx, sink, move |call| open(request.id, call));
    }
}

/// A response with this text.
pub fn response(text: impl Into<String>) -> Response {
    Response {
        result: text.into(),
        ..Response::default()
    }
}

/// The texts of all responses until an OK end.
#[track_caller]
pub fn texts(responses: Responses<Response>) -> Vec<String> {
    responses.map(|r| r.unwrap().result).collect()
}

/// The texts of a call that fails, and its status.
#[track_caller]
pub fn failure(responses: &mut Responses<Response>) -> (Vec<String>, RpcStatus) {
    let mut texts = Vec::new();
    loop {
        match responses.next() {
            Some(Ok(response)) => texts.push(response.result),
            Some(Err(ReceiveError::Status(status))) => return (texts, status.into()),
            other => panic!("no failure but {other:?}"),
        }
    }
}

/// Longer than any test.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Waits until the condition holds.
#[track_caller]
pub fn until(holds: impl Fn() -> bool) {
    super::process::eventually(|| holds().then_some(()));
}

/// A producer of `n` responses: the name and a number.
pub fn counting(name: &str, n: usize) -> impl Iterator<Item = Produced<Response>> + Send {
    let name = name.to_string();
    (0..n).map(move |k| Ok(response(format!("{name}{k}"))))
}

/// A producer that blocks until the test drops the gate, then ends.
pub fn blocked(gate: &Receiver<()>) -> impl Iterator<Item = Produced<Response>> + Send {
    let gate = gate.clone();
    std::iter::from_fn(move || {
        let _ = gate.recv();
        None
    })
}

/// The item of a producer that fails.
pub fn failing(code: RpcStatusCode, why: &str) -> Produced<Response> {
    Err(Status::new(code, why))
}
