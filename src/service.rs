//! `StreamService`: the tutorial's requests, turned into jobs for the engine. The only file that
//! knows both the proto and the engine's server side; it must not know addresses or flags.

use std::time::Duration;

use grpcio::{
    Marshaller, MessageReader, Method, MethodType, RpcContext, RpcStatus, RpcStatusCode,
    ServerStreamingSink, Service, ServiceBuilder,
};
use protobuf::Message as _;

use crate::engine::{Job, Jobs, Streams};
use crate::proto::stream::{Request, Response};

/// What each request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tutorial {
    /// Responses to a request.
    pub responses: u32,
    /// Worker k answers after k steps. Without steps a single producer makes all responses, in
    /// order, as fast as they are taken.
    pub step: Duration,
    /// Bytes of each result: the tutorial's text, cut or padded with dots. `None` is the text as
    /// it is.
    pub size: Option<usize>,
}

impl Default for Tutorial {
    /// Five responses, a second apart, with the tutorial's text.
    fn default() -> Tutorial {
        Tutorial {
            responses: 5,
            step: Duration::from_secs(1),
            size: None,
        }
    }
}

impl Tutorial {
    /// The jobs of one request. Makes each job when it is due, so an open stream that waits holds
    /// little.
    pub fn jobs(&self, id: i32) -> Jobs<Box<Response>> {
        let Tutorial {
            responses,
            step,
            size,
        } = *self;
        let respond = move |k| {
            tracing::info!(id, sequence = k, "finishing request number : {k}");
            Ok(Box::new(response(k, id, size)))
        };
        if step.is_zero() {
            return Job::now((0..responses).map(respond)).into();
        }
        Jobs::lazy((0..responses).map(move |k| {
            let due = step.checked_mul(k).unwrap_or(Duration::MAX);
            Job::after(due, std::iter::once(k).map(respond))
        }))
    }
}

fn response(k: u32, id: i32, size: Option<usize>) -> Response {
    let mut result = format!("Request #{k} For Id:{id}");
    if let Some(size) = size {
        result.truncate(size);
        result.extend(std::iter::repeat_n('.', size - result.len()));
    }
    Response {
        result,
        ..Response::default()
    }
}

/// What travels through the channel of a call. Boxed, because the channel's queue grows by 31 places
/// at a time: a place for a pointer instead of 40 bytes saves 1 KB for each open stream, which is
/// 10 MB for 10,000 of them, and costs about 1 % of a message.
type Message = Box<Response>;

/// A request, or what is wrong with it. grpcio would answer a request that it cannot decode on
/// its own, with a text about a response.
type Decoded = Result<Request, String>;

const FETCH_RESPONSE: Method<Decoded, Message> = Method {
    ty: MethodType::ServerStreaming,
    name: "/protobuf.StreamService/FetchResponse",
    req_mar: Marshaller {
        ser: |_, _| Err(grpcio::Error::Codec("a server encodes no requests".into())),
        de: decode,
    },
    resp_mar: Marshaller {
        ser: |message, buffer| grpcio::pb_ser(&**message, buffer),
        de: |reader| grpcio::pb_de(reader).map(Box::new),
    },
};

fn decode(reader: MessageReader) -> grpcio::Result<Decoded> {
    Ok(grpcio::pb_de(reader).map_err(|error| match error {
        grpcio::Error::Codec(what) => what.to_string(),
        other => other.to_string(),
    }))
}

/// The service, answering each request as `tutorial` says, on `streams`.
pub fn stream_service(streams: Streams, tutorial: Tutorial) -> Service {
    let fetch = move |ctx: RpcContext<'_>, request: Decoded, sink: ServerStreamingSink<Message>| {
        let tutorial = tutorial.clone();
        streams.serve_sized(
            &ctx,
            sink,
            |response| response.result.len(),
            move |_| {
                let request = request.map_err(undecodable)?;
                tracing::info!(id = request.id, "fetch response for id : {}", request.id);
                Ok(tutorial.jobs(request.id))
            },
        );
    };
    ServiceBuilder::new()
        .add_server_streaming_handler(&FETCH_RESPONSE, fetch)
        .build()
}

/// INTERNAL is what gRPC prescribes for a request that cannot be parsed.
fn undecodable(why: String) -> RpcStatus {
    let name = Request::descriptor_static().full_name();
    let message = format!("the request is no {name}: {why}");
    RpcStatus::with_message(RpcStatusCode::INTERNAL, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tutorials_text() {
        assert_eq!(response(3, -7, None).result, "Request #3 For Id:-7");
    }

    #[test]
    fn a_size_is_kept_to_the_byte() {
        for size in [0, 1, 18, 19, 20, 65536] {
            assert_eq!(response(0, 1, Some(size)).result.len(), size);
        }
        assert_eq!(response(0, 1, Some(21)).result, "Request #0 For Id:1..");
    }
}
