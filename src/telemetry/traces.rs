//! The trace of each call: the parent from the client's headers and, if spans are exported, the
//! span. It must not know log lines.

use grpcio::RpcContext;
use opentelemetry::trace::SpanContext;

use super::spans::{CallSpan, Spans};
use super::traceparent;
use crate::engine::{CallEnd, CallObserver};

/// Starts the traces of calls.
#[derive(Clone, Default)]
pub(super) struct Traces(pub(super) Option<Spans>);

/// The trace of one call.
pub(super) struct CallTrace {
    parent: Option<SpanContext>,
    span: Option<CallSpan>,
}

impl Traces {
    pub(super) fn are_exported(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn begin(&self, ctx: &RpcContext<'_>, method: &str, peer: &str) -> CallTrace {
        let parent = traceparent::parent(ctx.request_headers());
        let span = self.0.as_ref();
        let span = span.map(|spans| spans.begin(method, peer, parent.as_ref()));
        CallTrace { parent, span }
    }
}

impl CallTrace {
    /// Returns the id of the call's trace, if it has one.
    pub(super) fn id(&self) -> Option<String> {
        let context = match &self.span {
            Some(span) => span.context(),
            None => self.parent.clone(),
        };
        context.map(|context| context.trace_id().to_string())
    }
}

impl CallObserver for CallTrace {
    fn ended(self: Box<Self>, end: &CallEnd) {
        if let Some(span) = self.span {
            span.end(end);
        }
    }
}
