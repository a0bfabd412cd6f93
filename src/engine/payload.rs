//! The size of a message, for channels bounded in bytes. It must not know channels.

use protobuf::Message;

use super::codec::Encoded;

/// A message of known size.
pub trait Payload: Send + 'static {
    /// Bytes on the wire, without framing. The sending thread calls it once for each message.
    fn encoded_len(&self) -> usize;
}

impl<M: Message> Payload for M {
    fn encoded_len(&self) -> usize {
        self.compute_size() as usize
    }
}

impl<M: 'static> Payload for Encoded<M> {
    fn encoded_len(&self) -> usize {
        self.len()
    }
}
