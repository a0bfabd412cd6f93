//! OpenTelemetry spans of calls: their content and their destination. It must not know log lines,
//! nor when calls begin and end.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use grpcio::RpcStatusCode;
use opentelemetry::trace::{
    Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan};
use opentelemetry_sdk::Resource;
use ureq::http::Uri;

use super::export::{Http, Logged, EXPORT_TIMEOUT};
use crate::engine::CallEnd;
use crate::names::split_method;
use crate::names::status_name;

/// Time to send the remaining spans at shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The URL of an OTLP collector that receives spans over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector(String);

/// A text is not a [`Collector`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no collector: it must be a URL such as http://localhost:4318")]
pub struct CollectorError(String);

impl FromStr for Collector {
    type Err = CollectorError;

    /// Parses a URL. Without a path, OTLP's default `/v1/traces` is added.
    fn from_str(text: &str) -> Result<Collector, CollectorError> {
        let wrong = || CollectorError(text.into());
        let url: Uri = text.parse().map_err(|_| wrong())?;
        let scheme = url.scheme_str().unwrap_or_default();
        if !["http", "https"].contains(&scheme) || url.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        Ok(Collector(match url.path() {
            "" | "/" => format!("{}/v1/traces", text.trim_end_matches('/')),
            _ => text.into(),
        }))
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes spans, which a separate thread sends. Clones share the thread. If spans end faster than it
/// can send them, some are lost.
#[derive(Clone, Debug)]
pub(super) struct Spans {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Spans {
    /// Starts the thread. It does not connect yet.
    pub(super) fn start(collector: &Collector) -> Result<Spans, CollectorError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Http::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&collector.0)
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(|_| CollectorError(collector.0.clone()))?;
        // OpenTelemetry's standard variable for the name of the service.
        let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "fanstream".into());
        let resource = Resource::builder()
            .with_service_name(name)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        // The default sampler follows the parent's flag, and samples all calls without a parent.
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(Logged::new(exporter, &collector.0))
            .build();
        let tracer = provider.tracer("fanstream");
        Ok(Spans { provider, tracer })
    }

    /// Sends the remaining spans and ends the thread. Blocks for at most a second.
    pub(super) fn shut_down(&self) {
        // The exporter logs failures.
        let _ = self.provider.shutdown_with_timeout(FLUSH_TIMEOUT);
    }

    /// Starts the span of a call of `method` (`/package.Service/Method`).
    pub(super) fn begin(&self, method: &str, peer: &str, parent: Option<&SpanContext>) -> CallSpan {
        let (service, name) = split_method(method);
        let began = SystemTime::now();
        let builder = SpanBuilder::from_name(method.trim_start_matches('/').to_string())
            .with_kind(SpanKind::Server)
            .with_start_time(began)
            .with_attributes([
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.service", service.to_string()),
                KeyValue::new("rpc.method", name.to_string()),
                KeyValue::new("client.address", peer.to_string()),
            ]);
        let context = Context::new();
        let context = match parent {
            Some(parent) => context.with_remote_span_context(parent.clone()),
            None => context,
        };
        CallSpan {
            span: self.tracer.build_with_context(builder, &context),
            began,
        }
    }
}

/// The span of one call.
pub(super) struct CallSpan {
    span: SdkSpan,
    began: SystemTime,
}

impl CallSpan {
    pub(super) fn context(&self) -> Option<SpanContext> {
        Some(self.span.span_context().clone())
    }

    pub(super) fn end(mut self, end: &CallEnd) {
        let span = &mut self.span;
        if !span.is_recording() {
            return;
        }
        let code = i32::from(end.code);
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        span.set_attributes([
            KeyValue::new("rpc.grpc.status_code", i64::from(code)),
            KeyValue::new("rpc.response.count", count(end.counts.messages)),
            KeyValue::new("rpc.response.bytes", count(end.counts.bytes)),
        ]);
        if let Some(id) = &end.subject {
            span.set_attribute(KeyValue::new("rpc.request.id", id.clone()));
        }
        if let Some(why) = end.refused {
            span.set_attribute(KeyValue::new("rpc.refused", why));
        }
        if let Some(after) = end.counts.first_after {
            span.add_event_with_timestamp("first response", self.began + after, Vec::new());
        }
        if is_server_error(end.code) {
            span.set_status(Status::error(status_name(end.code)));
        }
        // The duration is from the monotonic clock.
        span.end_with_timestamp(self.began + end.lasted);
    }
}

/// Returns true for errors of the server, by OpenTelemetry's conventions for gRPC.
fn is_server_error(code: RpcStatusCode) -> bool {
    [
        RpcStatusCode::UNKNOWN,
        RpcStatusCode::DEADLINE_EXCEEDED,
        RpcStatusCode::UNIMPLEMENTED,
        RpcStatusCode::INTERNAL,
        RpcStatusCode::UNAVAILABLE,
        RpcStatusCode::DATA_LOSS,
    ]
    .contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collectors() {
        let url = |text: &str| Some(text.parse::<Collector>().ok()?.to_string());
        let traces = |base: &str| Some(format!("{base}/v1/traces"));
        assert_eq!(url("http://a:4318"), traces("http://a:4318"));
        assert_eq!(url("https://a/"), traces("https://a"));
        assert_eq!(url("http://[::1]:1/x"), Some("http://[::1]:1/x".into()));
        for wrong in [
            "",
            "localhost:4318",
            "/v1/traces",
            "ftp://a",
            "http://",
            "http://a b",
        ] {
            assert_eq!(url(wrong), None, "{wrong}");
        }
    }
}
