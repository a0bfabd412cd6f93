//! Exports spans to the collector: `opentelemetry-otlp` over a blocking HTTP client, on the batch
//! processor's thread. If the collector is down, spans are lost and a warning is logged at
//! intervals; calls are not affected. It must not know calls.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use opentelemetry_sdk::Resource;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::Agent;

/// Limit for one export.
pub(super) const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Minimum interval between two log lines about failed exports.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Maximum size of a response. Those of collectors are short.
const MAX_REPLY_BYTES: u64 = 1 << 20;

/// A blocking HTTP client. It uses OpenSSL with the system's authorities, and no proxy.
#[derive(Debug)]
pub(super) struct Http(Agent);

impl Http {
    pub(super) fn new() -> Http {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::NativeTls)
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(EXPORT_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .tls_config(tls)
            .build();
        Http(config.new_agent())
    }
}

#[async_trait]
impl HttpClient for Http {
    /// Blocks, which is correct here: it runs on the batch processor's thread.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let response = self.0.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(MAX_REPLY_BYTES).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

/// An exporter that logs failures, at most once per [`LOG_INTERVAL`].
#[derive(Debug)]
pub(super) struct Logged<E> {
    exporter: E,
    url: String,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    logged: Option<Instant>,
    /// Spans lost since the last log line.
    lost: usize,
}

impl Failures {
    /// Adds lost spans. Returns the number to log, if a log line is due.
    fn add(&mut self, lost: usize, now: Instant) -> Option<usize> {
        self.lost += lost;
        let quiet = self.logged.is_some_and(|at| now - at < LOG_INTERVAL);
        if quiet {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.lost))
    }
}

impl<E> Logged<E> {
    pub(super) fn new(exporter: E, url: &str) -> Logged<E> {
        Logged {
            exporter,
            url: url.into(),
            failures: Mutex::default(),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Logged<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.exporter.export(batch).await;
        if let Err(error) = &exported {
            let mut failures = self.failures.lock().unwrap_or_else(|e| e.into_inner());
            if let Some(lost) = failures.add(spans, Instant::now()) {
                let url = &self.url;
                tracing::warn!("{lost} spans could not be sent to {url}: {error}");
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_at_once_and_then_at_intervals() {
        let mut failures = Failures::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(failures.add(3, at(0)), Some(3));
        assert_eq!(failures.add(4, at(1)), None);
        assert_eq!(failures.add(5, at(59)), None);
        assert_eq!(failures.add(6, at(60)), Some(15));
    }
}
