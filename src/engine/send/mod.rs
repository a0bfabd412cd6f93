//! From a call's channel to its sink, on the call's poll thread: the response writer, the scheduler
//! that the writers of one poll thread share, and the yield that lets messages share a write.

mod batching;
mod response_writer;
mod scheduler;

pub(super) use batching::yield_for_batching;
pub(super) use response_writer::{Report, ResponseWriter};
