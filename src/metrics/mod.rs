//! Observability over HTTP, on a separate port: metrics for Prometheus at `/metrics`, liveness at
//! `/healthz`, readiness at `/readyz`. It must not know flags.
//!
//! A scrape reads the counters of the [`engine`](crate::engine). No code here runs during a call.

mod calls;
mod extension;
mod format;
mod http;
mod process;
mod prometheus_text;
mod workers;

use std::collections::HashSet;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::c_core;
use crate::engine::{Streams, Workers};
use calls::CallMetrics;
pub(crate) use extension::Metrics;
pub use extension::MetricsError;
use extension::Readiness;
use format::Format;
use http::{Reply, Request};
use workers::WorkerMetrics;

/// A Grafana dashboard for these metrics, as JSON to import.
pub const DASHBOARD: &str = include_str!("dashboard.json");

/// The content type of `/metrics`: OpenMetrics 1.0. A scraper whose header `Accept` prefers
/// `text/plain` gets the Prometheus text format 0.0.4.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Scrapes within this time get the same text, so frequent scrapes do not slow down streams.
const CACHE_TTL: Duration = Duration::from_millis(50);

/// `/readyz` fails once all worker threads have been busy for this time while tasks wait: the calls
/// that it would bring get no thread.
const FULL_IS_NOT_READY_AFTER: Duration = Duration::from_secs(10);

/// The three paths and their content.
struct Routes {
    registry: Registry,
    ready: Readiness,
    workers: Workers,
    /// The last text and the time when it was made. The lock is held while a new one is made.
    last: Mutex<Option<(Instant, String)>>,
}

impl Routes {
    fn new(
        streams: Streams,
        workers: Workers,
        ready: Readiness,
        unary_methods: HashSet<&'static str>,
    ) -> Routes {
        let mut registry = Registry::default();
        registry.register(
            "fanstream_build",
            "The versions of the server and of its gRPC C-core, and whether that has the patches",
            Info::new([
                ("version", env!("CARGO_PKG_VERSION").to_string()),
                ("c_core", c_core::VERSION.to_string()),
                ("patched", c_core::is_patched().to_string()),
            ]),
        );
        registry.register_collector(Box::new(CallMetrics {
            streams,
            unary_methods,
        }));
        registry.register_collector(Box::new(WorkerMetrics(workers.clone())));
        registry.register_collector(Box::new(process::Process));
        Routes {
            registry,
            ready,
            workers,
            last: Mutex::default(),
        }
    }

    fn reply(&self, request: &Request) -> Reply {
        match request.path.as_str() {
            "/metrics" => match self.text() {
                Ok(text) => metrics(text, Format::accepted(&request.accept)),
                Err(error) => Reply::text(500, format!("the metrics cannot be written: {error}\n")),
            },
            "/healthz" => Reply::text(200, "alive\n"),
            "/readyz" => self.readiness(),
            _ => Reply::text(404, "try /metrics, /healthz or /readyz\n"),
        }
    }

    fn readiness(&self) -> Reply {
        let full_for = self.workers.status().full_for;
        if !self.ready.get() {
            return Reply::text(503, "draining\n");
        }
        if full_for < FULL_IS_NOT_READY_AFTER {
            return Reply::text(200, "ready\n");
        }
        let seconds = full_for.as_secs();
        let why = format!("all worker threads have been busy for {seconds} s, and calls wait\n");
        Reply::text(503, why)
    }

    fn text(&self) -> Result<String, fmt::Error> {
        // One scrape at a time: concurrent ones wait, and get the same text.
        let mut last = self.last.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((made, text)) = &*last {
            if made.elapsed() < CACHE_TTL {
                return Ok(text.clone());
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        *last = Some((Instant::now(), text.clone()));
        Ok(text)
    }
}

/// The page of the metrics, from their OpenMetrics text.
fn metrics(open_metrics: String, format: Format) -> Reply {
    let text = match format {
        Format::OpenMetrics => open_metrics,
        Format::Prometheus => prometheus_text::of(&open_metrics),
    };
    Reply::new(200, format.content_type(), text).vary("Accept")
}
