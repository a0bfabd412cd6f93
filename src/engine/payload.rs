//! The size of messages, which bounds a channel in bytes.

use protobuf::Message;

use super::codec::Encoded;

/// A message that a channel can hold: its size is known.
pub trait Payload: Send + 'static {
    /// Bytes on the wire, without framing. Called once for each message, by the thread that puts it
    /// into the channel.
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
