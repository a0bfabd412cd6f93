//! Messages in the form in which they travel: encoded by the worker that made them, decoded where
//! blocking is allowed.
//!
//! grpcio's own codec encodes on the poll thread, which is what a server runs out of first, and
//! frees there what a worker allocated. An [`Encoded`] response is one slice that the C-core takes
//! over as it is. A [`Raw`] request reaches its handler undecoded: the handler knows the size
//! limit, and may decode it on a worker. It knows nothing of calls or channels.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use grpcio::{GrpcSlice, Marshaller, MessageReader, Method, MethodType, RpcStatus, RpcStatusCode};
use protobuf::Message;

/// A method of any kind with grpcio's own codec, by its full name (`/package.Service/Method`), as
/// generated code has it. For clients, and for services made by hand.
pub const fn method<Req: Message, Resp: Message>(
    ty: MethodType,
    name: &'static str,
) -> Method<Req, Resp> {
    Method {
        ty,
        name,
        req_mar: Marshaller {
            ser: grpcio::pb_ser,
            de: grpcio::pb_de,
        },
        resp_mar: Marshaller {
            ser: grpcio::pb_ser,
            de: grpcio::pb_de,
        },
    }
}

/// A server-streaming method, by its full name (`/package.Service/Method`), that takes its
/// requests raw and its responses encoded. For [`grpcio::ServiceBuilder`].
pub const fn server_streaming<Req: Message, Resp: Message>(
    name: &'static str,
) -> Method<Raw<Req>, Encoded<Resp>> {
    Method {
        ty: MethodType::ServerStreaming,
        name,
        req_mar: Marshaller {
            ser: |_, _| Err(grpcio::Error::Codec("a server encodes no requests".into())),
            de: |reader| Ok(Raw(reader, PhantomData)),
        },
        resp_mar: Marshaller {
            ser: |message, buffer| {
                message.slice.swap(Cell::from_mut(buffer));
                Ok(())
            },
            de: |_| Err(grpcio::Error::Codec("a server decodes no responses".into())),
        },
    }
}

/// A method of any kind, by its full name, that takes its requests raw, so that its handler bounds
/// their size; responses are encoded on the poll thread. For servers.
pub const fn raw_requests<Req: Message, Resp: Message>(
    ty: MethodType,
    name: &'static str,
) -> Method<Raw<Req>, Resp> {
    Method {
        ty,
        name,
        req_mar: Marshaller {
            ser: |_, _| Err(grpcio::Error::Codec("a server encodes no requests".into())),
            de: |reader| Ok(Raw(reader, PhantomData)),
        },
        resp_mar: Marshaller {
            ser: grpcio::pb_ser,
            de: grpcio::pb_de,
        },
    }
}

/// A response, encoded.
pub struct Encoded<M> {
    /// Taken out when it is sent; grpcio hands out shared references only.
    slice: Cell<GrpcSlice>,
    len: usize,
    message: PhantomData<fn(M)>,
}

impl<M: Message> Encoded<M> {
    /// Encodes `message`.
    ///
    /// # Errors
    /// INTERNAL when it cannot be encoded, such as one beyond 4 GiB.
    pub fn new(message: &M) -> Result<Encoded<M>, RpcStatus> {
        let mut slice = GrpcSlice::default();
        grpcio::pb_ser(message, &mut slice).map_err(|error| {
            let text = format!("the response cannot be encoded: {error}");
            RpcStatus::with_message(RpcStatusCode::INTERNAL, text)
        })?;
        Ok(Encoded {
            len: slice.len(),
            slice: Cell::new(slice),
            message: PhantomData,
        })
    }
}

impl<M> Encoded<M> {
    /// Bytes on the wire, without framing.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True for a message whose fields all have their default.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<M> fmt::Debug for Encoded<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// A request as it came.
pub struct Raw<M>(MessageReader, PhantomData<fn() -> M>);

impl<M: Message> Raw<M> {
    /// Decodes it, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED, in the C-core's own words, when it is larger; INTERNAL when it is no
    /// `M`. Both as gRPC prescribes.
    pub fn decode(self, limit: usize) -> Result<M, RpcStatus> {
        let len = self.0.len();
        let name = M::descriptor_static().full_name();
        if len > limit {
            let text = format!("Received message larger than max ({len} vs. {limit})");
            return Err(RpcStatus::with_message(
                RpcStatusCode::RESOURCE_EXHAUSTED,
                text,
            ));
        }
        grpcio::pb_de(self.0).map_err(|error| {
            let why = match error {
                grpcio::Error::Codec(what) => what.to_string(),
                other => other.to_string(),
            };
            let text = format!("the request is no {name}: {why}");
            RpcStatus::with_message(RpcStatusCode::INTERNAL, text)
        })
    }
}

impl<M> fmt::Debug for Raw<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raw")
            .field("len", &self.0.len())
            .finish_non_exhaustive()
    }
}
