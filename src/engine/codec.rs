//! Encoded responses and undecoded requests: workers encode and decode, not poll threads. It knows
//! nothing of calls or channels.
//!
//! grpcio's own codec encodes on the poll thread, the scarcest resource of a server, and frees
//! memory there that a worker allocated. An [`Encoded`] response is one slice that the C-core takes
//! over unchanged. A [`Raw`] request reaches its handler undecoded: the handler checks its size,
//! and may decode it on a worker.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use grpcio::{GrpcSlice, Marshaller, MessageReader, Method, MethodType, RpcStatus, RpcStatusCode};
use protobuf::Message;

use super::send::Framing;

/// A method of any kind with grpcio's own codec, as in generated code, by its full name
/// (`/package.Service/Method`). For clients, and for services without generated code.
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

/// A server-streaming method with raw requests and encoded responses, by its full name
/// (`/package.Service/Method`). For [`grpcio::ServiceBuilder`].
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

/// A method of any kind with raw requests, by its full name. Its handler bounds their size; the
/// poll thread encodes the responses. For servers.
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

/// An encoded response.
pub struct Encoded<M> {
    /// Taken when it is sent, through the shared reference that grpcio passes.
    slice: Cell<GrpcSlice>,
    len: usize,
    message: PhantomData<fn(M)>,
}

impl<M: Message> Encoded<M> {
    /// Encodes `message`.
    ///
    /// # Errors
    /// INTERNAL if it cannot be encoded, such as a message beyond 4 GiB.
    #[inline]
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

impl<M: 'static> Encoded<M> {
    pub(super) const FRAMING: &'static Framing<Encoded<M>> = &Framing {
        push: |message, frames| frames.push(message.slice.take().as_slice()),
        wrap: |frames| Encoded {
            len: frames.len(),
            slice: Cell::new(frames),
            message: PhantomData,
        },
    };
}

impl<M> Encoded<M> {
    /// Bytes on the wire, without framing.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if all fields have their default values.
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

/// An undecoded request.
pub struct Raw<M>(MessageReader, PhantomData<fn() -> M>);

impl<M: Message> Raw<M> {
    /// Decodes the request if it has at most `limit` bytes.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED, with the C-core's text, if it is larger; INTERNAL if it is not an `M`.
    /// gRPC prescribes both codes.
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
                grpcio::Error::Codec(error) => error.to_string(),
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
