//! What a server is doing, for who watches it: OpenMetrics for Prometheus at `/metrics`, and
//! whether it lives and takes calls at `/healthz` and `/readyz`, on a port of their own.
//!
//! It reads what the [`engine`](crate::engine) counts anyway, when it is asked; nothing here is on
//! the way of a call.

mod calls;
mod http;
mod process;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::address::Address;
use crate::engine::{Streams, Workers};
use http::{Endpoint, Reply};

/// The dashboard for Grafana that belongs to the metrics, as JSON to import.
pub const DASHBOARD: &str = include_str!("dashboard.json");

/// The content type of `/metrics`: OpenMetrics 1.0.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A text younger than this is given out again: whoever asks more often costs the streams nothing.
const FRESH: Duration = Duration::from_millis(50);

/// Whether the server takes calls; clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The port for who watches; it is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Metrics {
    endpoint: Endpoint,
}

impl Metrics {
    /// Binds `address`, and answers there until it is dropped. Blocks while a name is resolved.
    pub(crate) fn start(
        address: &Address,
        streams: Streams,
        workers: Workers,
        ready: Readiness,
    ) -> io::Result<Metrics> {
        let watched = Watched::new(streams, workers, ready);
        let endpoint = Endpoint::start(address, move |path| watched.reply(path))?;
        Ok(Metrics { endpoint })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.address()
    }
}

/// What can be asked for.
struct Watched {
    registry: Registry,
    ready: Readiness,
    last: Mutex<Option<(Instant, String)>>,
}

impl Watched {
    fn new(streams: Streams, workers: Workers, ready: Readiness) -> Watched {
        let mut registry = Registry::default();
        registry.register(
            "fanstream_build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register_collector(Box::new(calls::Calls(streams)));
        registry.register_collector(Box::new(calls::Pool(workers)));
        registry.register_collector(Box::new(process::Process));
        Watched {
            registry,
            ready,
            last: Mutex::default(),
        }
    }

    fn reply(&self, path: &str) -> Reply {
        match path {
            "/metrics" => match self.text() {
                Ok(text) => Reply::new(200, CONTENT_TYPE, text),
                Err(error) => Reply::text(500, format!("the metrics cannot be written: {error}\n")),
            },
            "/healthz" => Reply::text(200, "alive\n"),
            "/readyz" if self.ready.get() => Reply::text(200, "ready\n"),
            "/readyz" => Reply::text(503, "draining\n"),
            _ => Reply::text(404, "there are /metrics, /healthz and /readyz\n"),
        }
    }

    fn text(&self) -> Result<String, fmt::Error> {
        // One at a time: those who come meanwhile get what this one made.
        let mut last = self.last.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((made, text)) = &*last {
            if made.elapsed() < FRESH {
                return Ok(text.clone());
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        *last = Some((Instant::now(), text.clone()));
        Ok(text)
    }
}
