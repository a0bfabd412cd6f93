//! From a call's channel to its sink, on the call's poll thread: the response writer. It
//! knows nothing of jobs or workers' queues.

mod response_writer;

pub(super) use response_writer::ResponseWriter;
