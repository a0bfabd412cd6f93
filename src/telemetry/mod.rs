//! Observes each call: writes a log line, and with the feature `otlp` a span, with peer, method,
//! outcome and counts. It must not know the format or destination of log lines: the subscriber
//! does.
//!
//! It does nothing per message and never blocks: other threads write the log and export the spans.

#[cfg(feature = "otlp")]
mod export;
mod extension;
#[cfg(feature = "otlp")]
mod spans;
#[cfg(feature = "otlp")]
mod traceparent;
#[cfg(not(feature = "otlp"))]
#[path = "no_traces.rs"]
mod traces;
#[cfg(feature = "otlp")]
mod traces;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grpcio::RpcContext;

use crate::engine::{CallEnd, CallObserver, Observer};
use crate::names::status_name;

pub(crate) use extension::Telemetry;
#[cfg(feature = "otlp")]
pub use spans::{Collector, CollectorError};
use traces::{CallTrace, Traces};

/// Target of the log line of each call. The line is written at level info when the call has ended.
pub const CALLS: &str = "fanstream::calls";

/// Logs every call if [`CALLS`] is enabled, and makes a span if spans are exported.
#[derive(Default)]
struct CallLog {
    traces: Traces,
    last_id: AtomicU64,
}

impl Observer for CallLog {
    fn arrived(&self, ctx: &RpcContext<'_>) -> Box<dyn CallObserver> {
        let logged = tracing::enabled!(target: CALLS, tracing::Level::INFO);
        if !logged && !self.traces.are_exported() {
            return Box::new(Unobserved);
        }
        let method = String::from_utf8_lossy(ctx.method()).into_owned();
        let peer = readable(ctx.peer());
        let trace = self.traces.begin(ctx, &method, &peer);
        if !logged {
            return Box::new(trace);
        }
        Box::new(Line {
            call: self.last_id.fetch_add(1, Ordering::Relaxed) + 1,
            method,
            peer,
            trace,
        })
    }
}

/// A call without a log line or a span.
struct Unobserved;

impl CallObserver for Unobserved {
    fn ended(self: Box<Self>, _: &CallEnd) {}
}

/// A call with a log line.
struct Line {
    call: u64,
    method: String,
    peer: String,
    trace: CallTrace,
}

impl CallObserver for Line {
    fn ended(self: Box<Self>, end: &CallEnd) {
        tracing::info!(
            target: CALLS,
            call = self.call,
            method = self.method,
            peer = self.peer,
            id = end.subject.as_deref().map(display),
            status = %status_name(end.code),
            refused = end.refused,
            messages = end.counts.messages,
            bytes = end.counts.bytes,
            stalls = end.counts.stalls,
            first_ms = end.counts.first_after.map(milliseconds),
            duration_ms = milliseconds(end.lasted),
            trace_id = self.trace.id(),
            "call ended"
        );
        Box::new(self.trace).ended(end);
    }
}

/// Converts to milliseconds, with microsecond precision.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// Unescapes the brackets of IPv6 addresses, which the C-core escapes.
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
