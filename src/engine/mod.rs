//! The engine: from blocking producers to a gRPC stream, and from a gRPC stream to a blocking
//! iterator. Generic over the messages; it knows nothing of any service.
//!
//! A service hands each call to [`Streams::serve`] with a function that turns the request into
//! [`Jobs`]. The jobs' producers run on the [`Workers`] and push into the call's channel; a
//! future on the call's poll thread, the response writer, moves the messages from there to the
//! sink. A client's [`Responses`] are the mirror image: a future on the poll thread fills a
//! channel, and a blocking caller iterates it.

mod call;
mod call_status;
mod canceller;
mod channel;
mod client_stream;
pub mod codec;
mod forward;
pub(crate) mod frames;
pub(crate) mod grpcio_error;
mod limits;
pub(crate) mod panic;
mod payload;
mod receive_error;
mod send;
mod stats;
pub(crate) mod status;
mod streams;
mod sync;
mod termination;
#[cfg(test)]
mod termination_tests;
#[cfg(test)]
mod testing;
pub(crate) mod thread_waker;
mod workers;
mod yielding;

pub use call::{
    CallContext, IntoEncoded, IntoJobs, Job, Jobs, Next, Produced, Producer, StreamSender,
    WeakStreamSender,
};
pub use call_status::{CallStatus, StatusOrigin};
pub use canceller::Canceller;
pub use channel::{Capacity, SendError, TrySendError};
pub(crate) use client_stream::receive_frames;
pub use client_stream::{receive, Responses};
#[cfg(feature = "services")]
pub(crate) use limits::Peer;
pub use limits::{Limits, Rate};
pub use payload::Payload;
pub use receive_error::{Elapsed, ReceiveError, ReceiveTimeouts};
pub use stats::{
    CallEnd, CallObserver, Counts, HistogramSnapshot, MethodSnapshot, Observer, StreamsSnapshot,
    BOUNDS, CODES,
};
pub use streams::{PeerPermit, Streams, StreamsConfig};
pub use workers::{Task, Timer, Workers, WorkersConfig, WorkersStatus};
