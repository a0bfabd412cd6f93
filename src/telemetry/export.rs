//! To the collector: the exporter of `opentelemetry-otlp`, over a blocking HTTP client, on the
//! batch processor's own thread. A collector that is down costs spans and a line of the log now
//! and then, and nothing else.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use opentelemetry_sdk::Resource;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::Agent;

/// How long one export may take.
pub(super) const EXPORT: Duration = Duration::from_secs(5);

/// The most often that a failed export is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The largest reply that is read; a collector says little.
const LARGEST_REPLY: u64 = 1 << 20;

/// A blocking HTTP client. Its TLS is OpenSSL's, with the system's authorities; no proxies.
#[derive(Debug)]
pub(super) struct Http(Agent);

impl Http {
    pub(super) fn new() -> Http {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::NativeTls)
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(EXPORT))
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
    /// Blocks: it is polled on the batch processor's thread, where that is what is wanted.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let response = self.0.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(LARGEST_REPLY).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

/// An exporter whose failures are logged, though not each of them.
#[derive(Debug)]
pub(super) struct Logged<E> {
    exporter: E,
    url: String,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    logged: Option<Instant>,
    /// Spans lost since the last line, and batches.
    lost: usize,
}

impl Failures {
    /// How many spans to say were lost, if it is time to say so.
    fn add(&mut self, lost: usize, now: Instant) -> Option<usize> {
        self.lost += lost;
        let quiet = self.logged.is_some_and(|at| now - at < LOG_EVERY);
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
    fn failures_are_said_at_once_and_then_now_and_then() {
        let mut failures = Failures::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(failures.add(3, at(0)), Some(3));
        assert_eq!(failures.add(4, at(1)), None);
        assert_eq!(failures.add(5, at(59)), None);
        assert_eq!(failures.add(6, at(60)), Some(15));
    }
}
