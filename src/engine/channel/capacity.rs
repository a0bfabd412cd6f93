//! How much a channel holds: the one limit that bounds the memory of a call.

/// How much a channel holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Messages that may wait in the channel. At least 1.
    pub messages: usize,
    /// Bytes that may wait in the channel, as far as the channel knows the size of its messages (see
    /// [`bounded_by_size`](crate::engine::channel::bounded_by_size)): they are divided into `messages`
    /// slots, and a message takes one slot, and one more for each further slot's worth of bytes. At
    /// least 1.
    pub bytes: usize,
}

impl Default for Capacity {
    /// 256 messages, 1 MiB: enough that one wake-up moves a hundred small messages, little enough
    /// that 10,000 stalled readers of small messages hold some 100 MB.
    fn default() -> Capacity {
        Capacity {
            messages: 256,
            bytes: 1 << 20,
        }
    }
}

impl Capacity {
    /// A channel for so many messages, and the default number of bytes.
    pub fn messages(messages: usize) -> Capacity {
        Capacity {
            messages,
            ..Capacity::default()
        }
    }

    /// A message takes one slot, and one more for each further one of so many bytes.
    pub(super) fn slot_bytes(&self) -> usize {
        (self.bytes / self.messages.max(1)).max(1)
    }
}
