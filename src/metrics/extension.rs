//! The HTTP port of the metrics, as an extension of a server. It must not know the pages.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use super::http::Endpoint;
use super::Routes;
use crate::address::Address;
use crate::extension::{BoxError, Extension, Setup, Started};

/// The address for metrics cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}")]
#[non_exhaustive]
pub struct MetricsError {
    /// The configured address.
    pub address: Address,
    /// The system's error.
    pub reason: io::Error,
}

/// Tells `/readyz` whether the server accepts calls. Clones share the state.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The HTTP port, if there is an address for it. Dropping this closes it.
pub(crate) struct Metrics {
    address: Option<Address>,
    ready: Readiness,
    endpoint: Option<Endpoint>,
}

impl Metrics {
    pub(crate) fn new(address: Option<Address>) -> Metrics {
        Metrics {
            address,
            ready: Readiness::default(),
            endpoint: None,
        }
    }

    /// Returns the bound address.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().map(Endpoint::address)
    }
}

impl Extension for Metrics {
    fn name(&self) -> &str {
        "metrics"
    }

    /// One accepts connections, and one answers.
    fn threads(&self) -> usize {
        2 * usize::from(self.address.is_some())
    }

    /// Binds the port before the server's own ones, so that probes see "not ready" during the start.
    /// Blocks while a host name is resolved.
    fn configure(&mut self, setup: &mut Setup) -> Result<(), BoxError> {
        let Some(address) = self.address.clone() else {
            return Ok(());
        };
        let (streams, workers) = (setup.streams().clone(), setup.workers().clone());
        let unary_methods = setup.unary_methods().collect();
        let routes = Routes::new(streams, workers, self.ready.clone(), unary_methods);
        let endpoint = Endpoint::start(&address, move |request| routes.reply(request))
            .map_err(|reason| MetricsError { address, reason })?;
        self.endpoint = Some(endpoint);
        Ok(())
    }

    fn started(&self, _: &Started) {
        self.ready.set(true);
    }

    fn draining(&self) {
        self.ready.set(false);
    }
}
