//! The engine: from blocking producers to a gRPC stream, and from a gRPC stream to a blocking
//! iterator. Generic over the messages; it knows nothing of any service.
//!
//! A service hands each call to [`Streams::serve`] with a function that turns the request into
//! [`Jobs`]. The jobs' producers run on the [`Workers`] and push into the call's [channel], which
//! a future on the call's poll thread drains into the sink. A client's [`Responses`] are the
//! mirror image: drained on the poll thread into a channel, iterated by a blocking caller.

mod call;
mod capacity;
pub mod channel;
pub mod codec;
mod drain;
mod ending;
mod histogram;
mod job;
mod limits;
mod linger;
mod meter;
mod observe;
mod overseer;
pub(crate) mod panic;
mod peers;
mod receive;
mod registry;
pub(crate) mod sleeper;
mod streams;
mod sync;
#[cfg(test)]
mod testing;
mod turns;
mod wake;
mod watch;
mod workers;

pub use capacity::Capacity;
pub use histogram::{Spread, BOUNDS};
pub use job::{Job, Jobs, Produced, Producer};
pub use limits::{Limits, Rate};
pub use meter::{Counts, MethodSnapshot, StreamsSnapshot, CODES};
pub use observe::{CallEnd, Observed, Observer};
pub use receive::{receive, receive_sized, Patience, ReceiveError, Responses};
pub use streams::{Streams, StreamsConfig};
pub use watch::CallWatch;
pub use workers::{Task, Timer, Workers, WorkersConfig, WorkersStatus};
