//! The size of a message, for channels bounded in bytes. It must not know channels.

use super::codec::{Encoded, Message};

/// A message of known size.
pub trait Payload: Send + 'static {
    /// Bytes on the wire, without framing. The sending thread calls it once for each message.
    fn encoded_len(&self) -> usize;
}

impl<M: Message> Payload for M {
    fn encoded_len(&self) -> usize {
        Message::encoded_len(self)
    }
}

impl<M: 'static> Payload for Encoded<M> {
    fn encoded_len(&self) -> usize {
        self.len()
    }
}
