//! Messages as bytes, for proxies and for those who encode themselves.

use std::io::Read;
use std::ops::Deref;

use grpcio::{Error, GrpcSlice, MessageReader, Result};

use super::message::{sendable_len, Message};

/// The bytes of a message, sent and received as they are. All bytes are valid.
///
/// A proxy need not know the messages that it passes on. The limits of their size apply:
///
/// ```
/// use fanstream::client::Client;
/// use fanstream::engine::codec::{method, RawBytes};
/// use fanstream::grpcio::{Method, MethodType};
/// use fanstream::server::Service;
///
/// const WATCH: Method<RawBytes, RawBytes> =
///     method(MethodType::ServerStreaming, "/demo.Ticker/Watch");
///
/// fn proxy(upstream: Client) -> Service {
///     Service::new().server_streaming(&WATCH, move |_call, request| {
///         let responses = upstream.call(&WATCH, request);
///         Ok(responses.map(|response| Ok(response?)))
///     })
/// }
/// # let _ = proxy;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RawBytes(pub Vec<u8>);

impl Message for RawBytes {
    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn encode_to(&self, bytes: &mut [u8]) -> Result<()> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }

    fn encode_to_slice(&self, slice: &mut GrpcSlice) -> Result<()> {
        sendable_len(self.0.len())?;
        *slice = GrpcSlice::from(&self.0[..]);
        Ok(())
    }

    fn decode_from(mut reader: MessageReader) -> Result<RawBytes> {
        let mut bytes = Vec::new();
        // It reserves the length of the message.
        match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(RawBytes(bytes)),
            Err(error) => Err(Error::Codec(error.into())),
        }
    }
}

impl From<Vec<u8>> for RawBytes {
    fn from(bytes: Vec<u8>) -> RawBytes {
        RawBytes(bytes)
    }
}

impl From<RawBytes> for Vec<u8> {
    fn from(message: RawBytes) -> Vec<u8> {
        message.0
    }
}

impl Deref for RawBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
