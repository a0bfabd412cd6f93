//! Observers of calls, for logs and traces: the engine reports each arrival and each outcome. It
//! knows nothing of log formats or spans.

use std::sync::Arc;
use std::time::Duration;

use grpcio::{RpcContext, RpcStatusCode};

use super::super::panic::run_caught;
use super::Counts;

/// Observes every call.
pub trait Observer: Send + Sync + 'static {
    /// A call has arrived. Runs on a poll thread, so it must not block. After a panic, which is
    /// logged, the call is not observed.
    fn arrived(&self, ctx: &RpcContext<'_>) -> Box<dyn CallObserver>;
}

/// Observes one call.
pub trait CallObserver: Send {
    /// The call has ended. Runs on a poll thread, so it must not block. A panic is logged.
    fn ended(self: Box<Self>, end: &CallEnd);
}

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallEnd {
    /// The status; CANCELLED or DEADLINE_EXCEEDED if the client or its connection was lost.
    pub code: RpcStatusCode,
    /// The call's counters.
    pub counts: Counts,
    /// From its arrival to its end.
    pub lasted: Duration,
    /// See [`CallContext::set_subject`](crate::engine::CallContext::set_subject).
    pub subject: Option<Arc<str>>,
    /// The limit that refused the call, if any.
    pub refused: Option<&'static str>,
}

/// The observer of a server, if it has one.
pub(in crate::engine) type Observers = Option<Arc<dyn Observer>>;

/// The observer of one call, if it has one.
pub(in crate::engine) type Observation = Option<Box<dyn CallObserver>>;

/// Reports an arrival.
pub(in crate::engine) fn arrived(observer: &Observers, ctx: &RpcContext<'_>) -> Observation {
    let arrived = || observer.as_ref().map(|observer| observer.arrived(ctx));
    run_caught("an observer", arrived).flatten()
}

/// Reports an end.
pub(in crate::engine) fn ended(observation: Observation, end: &CallEnd) {
    run_caught("an observer", || {
        observation.map(|observed| observed.ended(end))
    });
}
