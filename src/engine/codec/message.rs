//! What the engine needs of a message: its size, its bytes, and back. It knows no calls, and of the
//! codecs only that of the `protobuf` package.

use grpcio::{Error, GrpcSlice, MessageReader, Result};
use protobuf::CodedOutputStream;

/// A message that can be sent and received.
///
/// | implemented by | how |
/// | --- | --- |
/// | each message of the `protobuf` package | here |
/// | each prost message of generated code that is a request or a response | by the generated code |
/// | prost messages of your own | by [`prost_messages!`](crate::prost_messages) |
/// | prost messages of other packages | in a [`Prost`](super::Prost) |
/// | [`RawBytes`](super::RawBytes) | here: bytes as they are |
///
/// Implement it for messages of another codec. The library asks for the size, then for the bytes; the
/// message does not change in between:
///
/// ```
/// use std::io::Read;
///
/// use fanstream::engine::codec::{method, Message};
/// use fanstream::grpcio::{Error, MessageReader, Method, MethodType, Result};
///
/// /// A message of eight bytes.
/// struct Reading(f64);
///
/// impl Message for Reading {
///     fn encoded_len(&self) -> usize {
///         8
///     }
///
///     fn encode_to(&self, bytes: &mut [u8]) -> Result<()> {
///         bytes.copy_from_slice(&self.0.to_be_bytes());
///         Ok(())
///     }
///
///     fn decode_from(mut reader: MessageReader) -> Result<Reading> {
///         let mut bytes = [0; 8];
///         reader.read_exact(&mut bytes).map_err(|error| Error::Codec(error.into()))?;
///         Ok(Reading(f64::from_be_bytes(bytes)))
///     }
/// }
///
/// const WATCH: Method<Reading, Reading> =
///     method(MethodType::ServerStreaming, "/weather.Sensor/Watch");
/// # let _ = WATCH;
/// ```
pub trait Message: Sized + Send + 'static {
    /// The name in texts of errors: that of the proto, such as `package.Request`, or else of the Rust
    /// type.
    fn full_name() -> &'static str {
        short_type_name::<Self>()
    }

    /// Returns the number of bytes on the wire, without framing.
    fn encoded_len(&self) -> usize;

    /// Writes the message to `bytes`, which has the length that `encoded_len` has just returned.
    ///
    /// # Errors
    /// [`Error::Codec`] if it cannot be encoded.
    fn encode_to(&self, bytes: &mut [u8]) -> Result<()>;

    /// Encodes the message to one slice, which the C-core takes over. The default does it by
    /// `encode_to`.
    ///
    /// # Errors
    /// [`Error::Codec`] if it cannot be encoded, or has more than 4 GiB.
    fn encode_to_slice(&self, slice: &mut GrpcSlice) -> Result<()> {
        let mut bytes = vec![0; sendable_len(self.encoded_len())?];
        self.encode_to(&mut bytes)?;
        *slice = GrpcSlice::from(bytes);
        Ok(())
    }

    /// Decodes the message. `reader` may have its bytes in several pieces.
    ///
    /// # Errors
    /// [`Error::Codec`] if the bytes are not such a message.
    fn decode_from(reader: MessageReader) -> Result<Self>;
}

impl<M: protobuf::Message> Message for M {
    fn full_name() -> &'static str {
        M::descriptor_static().full_name()
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        self.compute_size() as usize
    }

    /// `compute_size` has cached the sizes of the messages within.
    #[inline]
    fn encode_to(&self, bytes: &mut [u8]) -> Result<()> {
        self.write_to_with_cached_sizes(&mut CodedOutputStream::bytes(bytes))?;
        Ok(())
    }

    #[inline]
    fn encode_to_slice(&self, slice: &mut GrpcSlice) -> Result<()> {
        grpcio::pb_ser(self, slice)
    }

    #[inline]
    fn decode_from(reader: MessageReader) -> Result<M> {
        grpcio::pb_de(reader)
    }
}

/// Returns `len` if gRPC's header of four bytes can tell it.
pub(super) fn sendable_len(len: usize) -> Result<usize> {
    const MAX: usize = u32::MAX as usize;
    match len <= MAX {
        true => Ok(len),
        false => {
            let text = format!("message is too large: {len} > {MAX}");
            Err(Error::Codec(text.into()))
        }
    }
}

/// Returns the name of `T` without its path.
pub(super) fn short_type_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    // The path of a generic type ends before its arguments.
    let path_end = name.find('<').unwrap_or(name.len());
    let start = name[..path_end].rfind("::").map_or(0, |colons| colons + 2);
    &name[start..]
}
