//! Messages of the `prost` package. It knows no calls.

use std::io::{BufRead, Read};
use std::ops::{Deref, DerefMut};

use grpcio::{Error, GrpcSlice, MessageReader, Result};
use prost::Message as ProstMessage;

use super::message::{sendable_len, short_type_name, Message};

/// A prost message of another package, such as `prost_types::Timestamp`, or `()`, which is prost's
/// `google.protobuf.Empty`. Rust does not let your package implement [`Message`] for such a type; for
/// its own it does so by [`prost_messages!`](crate::prost_messages).
///
/// ```
/// use fanstream::engine::codec::{method, Prost};
/// use fanstream::grpcio::{Method, MethodType};
/// use fanstream::prost_types::Timestamp;
/// use fanstream::server::Service;
///
/// const NOW: Method<Prost<()>, Prost<Timestamp>> = method(MethodType::Unary, "/demo.Clock/Now");
///
/// let clock = Service::new().unary(&NOW, |_call, Prost(())| {
///     Ok(Prost(Timestamp::from(std::time::SystemTime::now())))
/// });
/// # drop(clock);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prost<T>(pub T);

impl<T: ProstMessage + Default + 'static> Message for Prost<T> {
    fn full_name() -> &'static str {
        short_type_name::<T>()
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        self.0.encoded_len()
    }

    #[inline]
    fn encode_to(&self, bytes: &mut [u8]) -> Result<()> {
        encode_to(&self.0, bytes)
    }

    #[inline]
    fn encode_to_slice(&self, slice: &mut GrpcSlice) -> Result<()> {
        encode_to_slice(&self.0, slice)
    }

    #[inline]
    fn decode_from(reader: MessageReader) -> Result<Prost<T>> {
        decode_from(reader).map(Prost)
    }
}

impl<T> From<T> for Prost<T> {
    fn from(message: T) -> Prost<T> {
        Prost(message)
    }
}

impl<T> Deref for Prost<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Prost<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// [`Message::encode_to`] of a prost message.
#[inline]
pub fn encode_to(message: &impl ProstMessage, mut bytes: &mut [u8]) -> Result<()> {
    let encoded = message.encode(&mut bytes);
    encoded.map_err(|error| Error::Codec(error.into()))
}

/// [`Message::encode_to_slice`] of a prost message. The slice takes over the vector, whose length is
/// its capacity.
pub fn encode_to_slice(message: &impl ProstMessage, slice: &mut GrpcSlice) -> Result<()> {
    let bytes = message.encode_to_vec();
    sendable_len(bytes.len())?;
    *slice = GrpcSlice::from(bytes);
    Ok(())
}

/// [`Message::decode_from`] of a prost message. Copies the bytes only if they are in several pieces.
pub fn decode_from<M: ProstMessage + Default>(mut reader: MessageReader) -> Result<M> {
    let len = reader.len();
    let piece = reader
        .fill_buf()
        .map_err(|error| Error::Codec(error.into()))?;
    let decoded = if piece.len() == len {
        M::decode(piece)
    } else {
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        read.map_err(|error| Error::Codec(error.into()))?;
        M::decode(&bytes[..])
    };
    decoded.map_err(|error| Error::Codec(error.into()))
}

/// Implements [`engine::codec::Message`](crate::engine::codec::Message) for prost messages of your
/// own package, so that methods can have them as requests and responses. Code that `fanstream-build`
/// generates does it itself; types of other packages go into a
/// [`Prost`](crate::engine::codec::Prost). Needs the feature `prost`.
///
/// The name of the proto, in texts of errors, is optional.
///
/// ```
/// use fanstream::engine::codec::method;
/// use fanstream::grpcio::{Method, MethodType};
///
/// #[derive(Clone, PartialEq, fanstream::prost::Message)]
/// #[prost(prost_path = "fanstream::prost")]
/// struct Tick {
///     #[prost(uint32, tag = "1")]
///     number: u32,
/// }
///
/// #[derive(Clone, PartialEq, fanstream::prost::Message)]
/// #[prost(prost_path = "fanstream::prost")]
/// struct WatchRequest {}
///
/// fanstream::prost_messages! {
///     Tick = "demo.Tick",
///     WatchRequest,
/// }
///
/// const WATCH: Method<WatchRequest, Tick> =
///     method(MethodType::ServerStreaming, "/demo.Ticker/Watch");
/// # let _ = WATCH;
/// ```
#[macro_export]
macro_rules! prost_messages {
    ($($message:ty $(= $name:literal)?),+ $(,)?) => {$(
        impl $crate::engine::codec::Message for $message {
            $(
                fn full_name() -> &'static str {
                    $name
                }
            )?

            #[inline]
            fn encoded_len(&self) -> usize {
                $crate::prost::Message::encoded_len(self)
            }

            #[inline]
            fn encode_to(&self, bytes: &mut [u8]) -> $crate::grpcio::Result<()> {
                $crate::engine::codec::prost::encode_to(self, bytes)
            }

            #[inline]
            fn encode_to_slice(
                &self,
                slice: &mut $crate::grpcio::GrpcSlice,
            ) -> $crate::grpcio::Result<()> {
                $crate::engine::codec::prost::encode_to_slice(self, slice)
            }

            #[inline]
            fn decode_from(
                reader: $crate::grpcio::MessageReader,
            ) -> $crate::grpcio::Result<Self> {
                $crate::engine::codec::prost::decode_from(reader)
            }
        }
    )+};
}
