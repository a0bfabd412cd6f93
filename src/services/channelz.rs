//! `grpc.channelz.v1.Channelz`: the C-core's view of the servers, channels and sockets of this
//! process. It converts the C-core's JSON to the messages of the proto, by their descriptors; it must
//! not know the messages.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, Mutex};

use futures::channel::oneshot;
use futures::FutureExt;
use grpcio::{
    channelz, Marshaller, Method, MethodType, RpcContext, RpcStatus, RpcStatusCode, Service,
    ServiceBuilder, UnarySink,
};
use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage};

use super::{status, PeerLimits, MAX_REQUEST};
use crate::engine::{Streams, Task, Workers};
use crate::proto::DESCRIPTORS;

/// Each method: its name on the wire, its name in the proto, and the call to the C-core.
const METHODS: [(&str, &str, Ask); 7] = [
    (
        "/grpc.channelz.v1.Channelz/GetTopChannels",
        "GetTopChannels",
        |request| channelz::get_top_channels(request.number("start_channel_id"), str::to_owned),
    ),
    (
        "/grpc.channelz.v1.Channelz/GetServers",
        "GetServers",
        |request| channelz::get_servers(request.number("start_server_id"), str::to_owned),
    ),
    (
        "/grpc.channelz.v1.Channelz/GetServer",
        "GetServer",
        |request| channelz::get_server(request.number("server_id"), str::to_owned),
    ),
    (
        "/grpc.channelz.v1.Channelz/GetServerSockets",
        "GetServerSockets",
        |request| {
            let most = usize::try_from(request.number("max_results")).unwrap_or(usize::MAX);
            channelz::get_server_sockets(
                request.number("server_id"),
                request.number("start_socket_id"),
                most.min(MOST_SOCKETS),
                str::to_owned,
            )
        },
    ),
    (
        "/grpc.channelz.v1.Channelz/GetChannel",
        "GetChannel",
        |request| channelz::get_channel(request.number("channel_id"), str::to_owned),
    ),
    (
        "/grpc.channelz.v1.Channelz/GetSubchannel",
        "GetSubchannel",
        |request| channelz::get_subchannel(request.number("subchannel_id"), str::to_owned),
    ),
    (
        "/grpc.channelz.v1.Channelz/GetSocket",
        "GetSocket",
        |request| channelz::get_socket(request.number("socket_id"), str::to_owned),
    ),
];

/// The most sockets of one response; a client asks for the rest from the last one on.
const MOST_SOCKETS: usize = 500;

type Ask = fn(&Request) -> String;

/// The service. It runs on workers, since reading many sockets takes a while.
///
/// It shows every caller the addresses of all clients.
#[derive(Clone)]
pub struct Channelz {
    workers: Workers,
    pool: DescriptorPool,
    limits: PeerLimits,
}

impl Channelz {
    /// A service for this process that answers on `workers`.
    pub fn new(workers: Workers) -> Channelz {
        // The build makes the descriptors; the tests fail if they are wrong.
        let pool = DescriptorPool::decode(DESCRIPTORS).unwrap_or_default();
        let limits = PeerLimits::default();
        Channelz {
            workers,
            pool,
            limits,
        }
    }

    /// Has all calls count against the limits by peer of `streams`.
    #[must_use]
    pub fn limited_by(self, streams: &Streams) -> Channelz {
        self.limits.set(streams.clone());
        self
    }

    /// The service, to be registered with a server.
    pub fn service(&self) -> Service {
        let builder = METHODS
            .iter()
            .fold(ServiceBuilder::new(), |builder, (path, name, ask)| {
                let channelz = self.clone();
                builder.add_unary_handler(&bytes(path), move |ctx, request, sink| {
                    channelz.serve(&ctx, name, *ask, request, sink);
                })
            });
        builder.build()
    }

    fn serve(
        &self,
        ctx: &RpcContext<'_>,
        name: &'static str,
        ask: Ask,
        request: Option<Vec<u8>>,
        sink: UnarySink<Vec<u8>>,
    ) {
        let permit = match self.limits.admit(ctx) {
            Ok(permit) => permit,
            Err(status) => return ctx.spawn(sink.fail(status).map(|_| ())),
        };
        let (answer, answered) = oneshot::channel();
        self.workers.submit(Arc::new(Question {
            pool: self.pool.clone(),
            name,
            ask,
            asked: Mutex::new(Some((request, answer))),
        }));
        ctx.spawn(async move {
            let answer = answered.await.unwrap_or_else(|_| Err(internal("it broke")));
            let sent = match answer {
                Ok(response) => sink.success(response),
                Err(status) => sink.fail(status),
            };
            sent.map(|_| ()).await; // the client may be gone
            drop(permit);
        });
    }
}

impl fmt::Debug for Channelz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channelz(..)")
    }
}

type Answer = Result<Vec<u8>, RpcStatus>;

/// A request, `None` for one that is too large, and the sender of its answer.
type Asked = (Option<Vec<u8>>, oneshot::Sender<Answer>);

/// A call, as a task for a worker.
struct Question {
    pool: DescriptorPool,
    name: &'static str,
    ask: Ask,
    asked: Mutex<Option<Asked>>,
}

impl Task for Question {
    fn run(self: Arc<Self>) {
        let asked = self.asked.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some((request, answer)) = asked {
            let _ = answer.send(self.answer(request)); // the call may be over
        }
    }
}

impl Question {
    fn answer(&self, request: Option<Vec<u8>>) -> Answer {
        let request = request.ok_or_else(|| {
            let text = format!("a request has at most {MAX_REQUEST} bytes");
            status(RpcStatusCode::RESOURCE_EXHAUSTED, text)
        })?;
        let service = self.pool.get_service_by_name("grpc.channelz.v1.Channelz");
        let mut methods = service.iter().flat_map(|service| service.methods());
        let method = methods
            .find(|method| method.name() == self.name)
            .ok_or_else(|| internal("the proto lacks it"))?;
        let request = DynamicMessage::decode(method.input(), request.as_slice()).map(Request);
        let request = request.map_err(|error| internal(&format!("the request: {error}")))?;
        let json = (self.ask)(&request);
        if json.is_empty() {
            return Err(status(RpcStatusCode::NOT_FOUND, "there is none of this id"));
        }
        let mut json = serde_json::Deserializer::from_str(&json);
        // The C-core may know more than the proto.
        let options = DeserializeOptions::new().deny_unknown_fields(false);
        DynamicMessage::deserialize_with_options(method.output(), &mut json, &options)
            .map(|response| response.encode_to_vec())
            .map_err(|error| internal(&format!("what the C-core says: {error}")))
    }
}

fn internal(what: &str) -> RpcStatus {
    status(RpcStatusCode::INTERNAL, format!("channelz: {what}"))
}

struct Request(DynamicMessage);

impl Request {
    /// The value of a field. A negative value becomes 0, which is no id.
    fn number(&self, field: &str) -> u64 {
        let value = self.0.get_field_by_name(field);
        let number = value.and_then(|value| value.as_i64()).unwrap_or(0);
        number.try_into().unwrap_or(0)
    }
}

/// A method with requests and responses as bytes; a request is `None` if it is too large.
fn bytes(name: &'static str) -> Method<Option<Vec<u8>>, Vec<u8>> {
    Method {
        ty: MethodType::Unary,
        name,
        req_mar: Marshaller {
            ser: |_, _| Err(grpcio::Error::Codec("a server encodes no requests".into())),
            de: |mut reader| {
                if reader.len() > MAX_REQUEST {
                    return Ok(None);
                }
                let mut bytes = Vec::with_capacity(reader.len());
                let read = reader.read_to_end(&mut bytes);
                read.map_err(|error| grpcio::Error::Codec(error.into()))?;
                Ok(Some(bytes))
            },
        },
        resp_mar: Marshaller {
            ser: |bytes: &Vec<u8>, buffer| {
                *buffer = bytes.clone().into();
                Ok(())
            },
            de: |_| Err(grpcio::Error::Codec("a server decodes no responses".into())),
        },
    }
}
