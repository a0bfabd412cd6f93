//! Who wants to know of calls, one by one: for logs and traces. The engine tells when a call
//! arrives and how it ended; what comes of that is not its business.

use std::sync::Arc;
use std::time::Duration;

use grpcio::{RpcContext, RpcStatusCode};

use super::meter::Counts;

/// Is told of every call.
pub trait Observer: Send + Sync + 'static {
    /// A call has arrived. Runs on a poll thread, so it must not block.
    fn arrived(&self, ctx: &RpcContext<'_>) -> Box<dyn Observed>;
}

/// Is told of one call.
pub trait Observed: Send {
    /// The call has ended. Runs on a poll thread, so it must not block.
    fn ended(self: Box<Self>, end: &CallEnd);
}

/// How a call ended, and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnd {
    /// With which status; CANCELLED or DEADLINE_EXCEEDED where the client, or its connection, went.
    pub code: RpcStatusCode,
    /// What it sent, and when first.
    pub counts: Counts,
    /// From its arrival to its end.
    pub lasted: Duration,
    /// What it was about; see [`CallWatch::set_subject`](super::CallWatch::set_subject).
    pub subject: Option<i64>,
    /// Why it was refused, if it was.
    pub refused: Option<&'static str>,
}

pub(super) type Observers = Option<Arc<dyn Observer>>;
