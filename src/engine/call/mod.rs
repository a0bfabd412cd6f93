//! One call on the side of the workers: from its job source to its channel. It knows nothing of
//! sinks; the response writer reads the channel.
//!
//! A call is a [`Task`](super::Task). It is in the workers' queue or among their timers, never in both and never
//! twice, however many of its producers could run. So the workers schedule calls, not producers.
//! The heartbeat check is a separate task with a weak reference to the call.
//!
//! A producer runs only when the channel has a free slot, and a job starts only when it can run at
//! once. So the memory of a call with a slow reader is bounded: its channel, one message for each
//! worker that runs one of its producers, and at most 256 started producers. In an ordered call
//! each of these may hold one more message.
//!
//! [`lifecycle`] has the call, [`turn`] runs it: a worker's turn in it takes a [`strand`], runs a slice
//! of it, and puts it back into the [`state`]. What is imported comes first in: `body`, `strand`, `state`, `lifecycle`, `turn`.

mod adapters;
mod body;
mod context;
mod convert;
mod deadline;
mod heartbeat;
mod job;
mod job_source;
mod lifecycle;
mod order;
mod polled;
mod schedule;
mod sleepers;
mod state;
mod strand;
mod stream_sender;
mod turn;

pub use body::{Produced, Producer};
pub use context::CallContext;
pub use convert::{IntoEncoded, IntoJobs};
pub use job::{Job, Jobs};
pub(super) use lifecycle::Call;
pub use polled::Next;
pub use stream_sender::{StreamSender, WeakStreamSender};
