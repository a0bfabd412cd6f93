//! From a call's channel to its sink, on the call's poll thread: the response writer, the write
//! scheduler that the writers of one poll thread share, and the yield for batching. It knows
//! nothing of jobs or workers' queues.

mod batching;
mod join;
mod response_writer;
mod scheduler;

pub(super) use batching::yield_for_batching;
pub(super) use join::Framing;
pub(super) use response_writer::{Report, ResponseWriter};
