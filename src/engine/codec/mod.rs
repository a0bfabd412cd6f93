//! Messages and methods. Encoded responses and undecoded requests: workers encode and decode, not poll
//! threads. It knows nothing of calls or channels.
//!
//! A message is a [`Message`], by whatever codec: rust-protobuf, prost, or none ([`RawBytes`]).
//!
//! grpcio's own codec encodes on the poll thread, the scarcest resource of a server, and frees
//! memory there that a worker allocated. An [`Encoded`] response is one slice that the C-core takes
//! over unchanged. A [`Raw`] request reaches its handler undecoded: the handler checks its size,
//! and may decode it on a worker.

mod message;
#[cfg(feature = "prost")]
#[doc(hidden)] // for `prost_messages!`
pub mod prost;
mod raw_bytes;

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use grpcio::{GrpcSlice, Marshaller, MessageReader, Method, MethodType};

#[cfg(feature = "prost")]
#[doc(inline)]
pub use self::prost::Prost;
use super::channel::Joining;
use super::frames;
use super::grpcio_error::Words;
use crate::Status;
pub use message::Message;
pub use raw_bytes::RawBytes;

/// A method of any kind, as in generated code, by its full name (`/package.Service/Method`). For
/// clients and services without generated code.
pub const fn method<Req: Message, Resp: Message>(
    ty: MethodType,
    name: &'static str,
) -> Method<Req, Resp> {
    Method {
        ty,
        name,
        req_mar: Marshaller {
            ser: Req::encode_to_slice,
            de: Req::decode_from,
        },
        resp_mar: Marshaller {
            ser: Resp::encode_to_slice,
            de: Resp::decode_from,
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
                *buffer = match message.bytes.take() {
                    Bytes::Small(bytes) => GrpcSlice::from(&bytes[..message.len]),
                    Bytes::Slice(slice) => slice,
                };
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
            ser: Resp::encode_to_slice,
            de: Resp::decode_from,
        },
    }
}

/// An encoded response.
pub struct Encoded<M> {
    /// Taken when it is sent, through the shared reference that grpcio passes.
    bytes: Cell<Bytes>,
    len: usize,
    message: PhantomData<fn(M)>,
}

/// Small messages need no allocation: they are copied to a sequence of frames, as a rule.
enum Bytes {
    Small([u8; SMALL]),
    Slice(GrpcSlice),
}

/// An [`Encoded`] has 64 bytes then.
const SMALL: usize = 47;

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes::Slice(GrpcSlice::default())
    }
}

impl<M: Message> Encoded<M> {
    /// Encodes `message`.
    ///
    /// # Errors
    /// INTERNAL if it cannot be encoded, such as a message beyond 4 GiB.
    #[inline]
    pub fn new(message: &M) -> Result<Encoded<M>, Status> {
        let len = message.encoded_len();
        let encoded = match len <= SMALL {
            true => {
                let mut bytes = [0; SMALL];
                message
                    .encode_to(&mut bytes[..len])
                    .map(|()| Bytes::Small(bytes))
            }
            false => {
                let mut slice = GrpcSlice::default();
                message
                    .encode_to_slice(&mut slice)
                    .map(|()| Bytes::Slice(slice))
            }
        };
        let bytes = encoded.map_err(|error| {
            let why = Words(&error);
            Status::internal(format!("the response cannot be encoded: {why}"))
        })?;
        Ok(Encoded {
            len,
            bytes: Cell::new(bytes),
            message: PhantomData,
        })
    }
}

impl<M: 'static> Encoded<M> {
    /// Joins messages to [frames]; a lone one becomes a message again.
    pub(super) const JOINING: Joining<Encoded<M>> = Joining {
        fits: frames::fits,
        append: |message, frames| match message.bytes.take() {
            Bytes::Small(bytes) => frames::append(&bytes[..message.len], frames),
            Bytes::Slice(slice) => frames::append(slice.as_slice(), frames),
        },
        wrap: |frames, count| {
            let bytes = match count {
                1 => frames::only(frames),
                _ => frames,
            };
            Encoded {
                len: bytes.len(),
                bytes: Cell::new(Bytes::Slice(GrpcSlice::from(bytes))),
                message: PhantomData,
            }
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
    pub fn decode(self, limit: usize) -> Result<M, Status> {
        let len = self.0.len();
        if len > limit {
            let text = format!("Received message larger than max ({len} vs. {limit})");
            return Err(Status::resource_exhausted(text));
        }
        M::decode_from(self.0).map_err(|error| {
            let (name, why) = (M::full_name(), Words(&error));
            Status::internal(format!("the request is no {name}: {why}"))
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
