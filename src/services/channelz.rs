//! Implements `grpc.channelz.v1.Channelz`: servers, channels and sockets of this process. It
//! converts the C-core's JSON to messages through their descriptors; it must not know the messages.

use std::fmt;
use std::io::Read;

use futures::channel::oneshot;
use futures::FutureExt;
use grpcio::{
    channelz, Marshaller, Method, MethodType, RpcContext, RpcStatus, RpcStatusCode, Service,
    ServiceBuilder, UnarySink,
};
use prost::Message;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage};

use super::{status, PeerLimits, MAX_REQUEST_BYTES};
use crate::engine::{Streams, Workers};
use crate::proto::DESCRIPTORS;

/// Of each method: the full name, the name in the proto, and the query to the C-core.
const METHODS: [(&str, &str, Query); 7] = [
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
                most.min(MAX_SOCKETS),
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
        |request| match request.number("subchannel_id") {
            // No subchannel: the patched C-core describes itself.
            0 => String::new(),
            id => channelz::get_subchannel(id, str::to_owned),
        },
    ),
    (
        "/grpc.channelz.v1.Channelz/GetSocket",
        "GetSocket",
        |request| channelz::get_socket(request.number("socket_id"), str::to_owned),
    ),
];

/// Maximum sockets per response. A client requests the rest from the last one on.
const MAX_SOCKETS: usize = 500;

type Query = fn(&Request) -> String;

/// The channelz service. It runs on worker threads, because reading many sockets takes time.
///
/// It reveals the addresses of all clients to every caller.
#[derive(Clone)]
pub struct Channelz {
    workers: Workers,
    pool: DescriptorPool,
    limits: PeerLimits,
}

impl Channelz {
    /// Creates the service of this process. Its calls run on `workers`.
    pub fn new(workers: Workers) -> Channelz {
        // The build generates the descriptors, and tests cover them, so decoding does not fail.
        let pool = DescriptorPool::decode(DESCRIPTORS).unwrap_or_default();
        let limits = PeerLimits::default();
        Channelz {
            workers,
            pool,
            limits,
        }
    }

    /// Applies the per-peer limits of `streams` to all calls.
    #[must_use]
    pub fn limited_by(self, streams: &Streams) -> Channelz {
        self.limits.set(streams.clone());
        self
    }

    /// Returns the service, to be registered with a server.
    pub fn service(&self) -> Service {
        let builder = METHODS
            .iter()
            .fold(ServiceBuilder::new(), |builder, (path, name, query)| {
                let channelz = self.clone();
                builder.add_unary_handler(&bytes(path), move |ctx, request, sink| {
                    channelz.serve(&ctx, name, *query, request, sink);
                })
            });
        builder.build()
    }

    fn serve(
        &self,
        ctx: &RpcContext<'_>,
        name: &'static str,
        query: Query,
        request: Option<Vec<u8>>,
        sink: UnarySink<Vec<u8>>,
    ) {
        let permit = match self.limits.admit(ctx) {
            Ok(permit) => permit,
            Err(status) => return ctx.spawn(sink.fail(status).map(|_| ())),
        };
        let (answer, answered) = oneshot::channel();
        let pool = self.pool.clone();
        self.workers.submit_once(move || {
            let _ = answer.send(ask(&pool, name, query, request)); // fails if the call is over
        });
        ctx.spawn(async move {
            let answer = answered
                .await
                .unwrap_or_else(|_| Err(internal("the query panicked")));
            let sent = match answer {
                Ok(response) => sink.success(response),
                Err(status) => sink.fail(status),
            };
            sent.map(|_| ()).await; // fails if the client has disconnected
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

/// Answers a request, which is `None` if it is too large.
fn ask(pool: &DescriptorPool, name: &str, query: Query, request: Option<Vec<u8>>) -> Answer {
    let request = request.ok_or_else(|| {
        let text = format!("a request has at most {MAX_REQUEST_BYTES} bytes");
        status(RpcStatusCode::RESOURCE_EXHAUSTED, text)
    })?;
    let service = pool.get_service_by_name("grpc.channelz.v1.Channelz");
    let mut methods = service.iter().flat_map(|service| service.methods());
    let method = methods
        .find(|method| method.name() == name)
        .ok_or_else(|| internal("the method is not in the proto"))?;
    let request = DynamicMessage::decode(method.input(), request.as_slice()).map(Request);
    let request = request.map_err(|error| internal(&format!("the request: {error}")))?;
    let json = query(&request);
    if json.is_empty() {
        return Err(status(RpcStatusCode::NOT_FOUND, "no entry has this id"));
    }
    let mut json = serde_json::Deserializer::from_str(&json);
    // The C-core may have fields that the proto lacks.
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    DynamicMessage::deserialize_with_options(method.output(), &mut json, &options)
        .map(|response| response.encode_to_vec())
        .map_err(|error| internal(&format!("the C-core's JSON: {error}")))
}

fn internal(what: &str) -> RpcStatus {
    status(RpcStatusCode::INTERNAL, format!("channelz: {what}"))
}

struct Request(DynamicMessage);

impl Request {
    /// Returns the value of a field. A negative value becomes 0, which is no id.
    fn number(&self, field: &str) -> u64 {
        let value = self.0.get_field_by_name(field);
        let number = value.and_then(|value| value.as_i64()).unwrap_or(0);
        number.try_into().unwrap_or(0)
    }
}

/// Returns a method with requests and responses as bytes. A request is `None` if it is too large.
fn bytes(name: &'static str) -> Method<Option<Vec<u8>>, Vec<u8>> {
    Method {
        ty: MethodType::Unary,
        name,
        req_mar: Marshaller {
            ser: |_, _| Err(grpcio::Error::Codec("a server encodes no requests".into())),
            de: |mut reader| {
                if reader.len() > MAX_REQUEST_BYTES {
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
