//! Every call in a log line and in a trace: who called what, how it ended and what it came to.
//!
//! Nothing is done for a message, and nothing here waits: lines go to the log's own thread, spans
//! to a thread that exports them. What the lines look like, and where they go, is
//! [`crate::logging`]'s.

mod collector;
mod spans;
mod traceparent;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grpcio::RpcContext;
use opentelemetry::trace::SpanContext;

use crate::engine::{CallEnd, Observed, Observer};
use crate::status::status_name;

pub(crate) use spans::Spans;
pub use spans::{Collector, CollectorError};

/// The target of the one log line that each call gets, at info, when it has ended.
pub const CALLS: &str = "fanstream::calls";

/// Logs every call, where [`CALLS`] is logged, and makes a span of it.
pub(crate) struct Telemetry {
    spans: Option<Spans>,
    last_id: AtomicU64,
}

impl Telemetry {
    pub(crate) fn new(spans: Option<Spans>) -> Telemetry {
        Telemetry {
            spans,
            last_id: AtomicU64::new(0),
        }
    }
}

impl Observer for Telemetry {
    fn arrived(&self, ctx: &RpcContext<'_>) -> Box<dyn Observed> {
        let logged = tracing::enabled!(target: CALLS, tracing::Level::INFO);
        if !logged && self.spans.is_none() {
            return Box::new(Unseen);
        }
        let parent = traceparent::of(ctx.request_headers());
        let method = String::from_utf8_lossy(ctx.method()).into_owned();
        let peer = readable(ctx.peer());
        let span = self.spans.as_ref();
        let span = span.map(|spans| spans.begin(&method, &peer, parent.as_ref()));
        if !logged {
            return match span {
                Some(span) => Box::new(span),
                None => Box::new(Unseen),
            };
        }
        let trace = match &span {
            Some(span) => span.context(),
            None => parent,
        };
        Box::new(Line {
            call: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            method,
            peer,
            trace,
            span,
        })
    }
}

/// A call that nobody asks about.
struct Unseen;

impl Observed for Unseen {
    fn ended(self: Box<Self>, _: &CallEnd) {}
}

/// A call that will be a line of the log.
struct Line {
    call: u64,
    method: String,
    peer: String,
    trace: Option<SpanContext>,
    span: Option<spans::CallSpan>,
}

impl Observed for Line {
    fn ended(self: Box<Self>, end: &CallEnd) {
        let trace_id = self.trace.as_ref().map(|t| t.trace_id().to_string());
        tracing::info!(
            target: CALLS,
            call = self.call,
            method = self.method,
            peer = self.peer,
            id = end.subject,
            status = %status_name(end.code),
            refused = end.refused,
            messages = end.counts.messages,
            bytes = end.counts.bytes,
            stalls = end.counts.stalls,
            first_ms = end.counts.first_after.map(milliseconds),
            duration_ms = milliseconds(end.lasted),
            trace_id,
            "call ended"
        );
        if let Some(span) = self.span {
            span.end(end);
        }
    }
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// The C-core escapes the brackets of IPv6 addresses.
fn readable(peer: String) -> String {
    if peer.contains('%') {
        peer.replace("%5B", "[").replace("%5D", "]")
    } else {
        peer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_readable() {
        assert_eq!(readable("ipv6:%5B::1%5D:80".into()), "ipv6:[::1]:80");
        assert_eq!(readable("unix:/a".into()), "unix:/a");
    }
}
