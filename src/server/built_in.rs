//! The built-in extensions: their order, and what a builder and a server have of each. It must not
//! know how they work.

use super::extensions::Candidate;
use super::{ServerConfig, StartError};
use crate::extension::Extension;

/// Returns all extensions of a server, in the order of their configuration. Blocks while the files of
/// TLS and tokens are read.
///
/// # Errors
/// If a file is unusable.
pub(super) fn with_built_in(
    config: &ServerConfig,
    of_user: Vec<Box<dyn Extension>>,
) -> Result<Vec<Candidate>, StartError> {
    let _ = config; // unused without features
    let first = [
        #[cfg(feature = "tls")]
        crate::security::Security::load(config.tls.as_ref(), config.token_file.as_ref())
            .map(Candidate::built_in)
            .map_err(|error| StartError::extension("security", error.into()))?,
        Candidate::built_in(crate::telemetry::Telemetry::new(
            #[cfg(feature = "otlp")]
            config.collector.clone(),
        )),
    ];
    // They know the services of all others.
    let last = [
        #[cfg(feature = "services")]
        Candidate::built_in(crate::services::Services::new(config.services)),
        #[cfg(feature = "metrics")]
        Candidate::built_in(crate::metrics::Metrics::new(config.metrics.clone())),
    ];
    let of_user = of_user.into_iter().map(Candidate::of_user);
    Ok(first.into_iter().chain(of_user).chain(last).collect())
}

#[cfg(feature = "tls")]
impl super::ServerBuilder {
    /// Accepts TLS connections only.
    pub fn tls(mut self, tls: crate::security::ServerTls) -> Self {
        self.config.tls = Some(tls);
        self
    }

    /// Requires a bearer token from this file. See [`ServerConfig::token_file`].
    pub fn token_file(mut self, file: impl AsRef<std::path::Path>) -> Self {
        self.config.token_file = Some(file.as_ref().into());
        self
    }
}

#[cfg(feature = "services")]
impl super::Server {
    /// Returns its health. At the start, the server (`""`) and each service are SERVING.
    pub fn health(&self) -> &crate::services::Health {
        let Some(services) = self.extension::<crate::services::Services>() else {
            unreachable!("every server has this extension")
        };
        services.health()
    }
}

#[cfg(feature = "metrics")]
impl super::Server {
    /// Returns the address of the metrics, if they are enabled.
    pub fn metrics_address(&self) -> Option<std::net::SocketAddr> {
        self.extension::<crate::metrics::Metrics>()?.address()
    }
}

#[cfg(feature = "metrics")]
impl super::ServerBuilder {
    /// Serves metrics, health and readiness over HTTP at this TCP address, which may be a text as for
    /// [`ServerBuilder::listen`](Self::listen).
    pub fn metrics(
        mut self,
        address: impl TryInto<crate::address::Address, Error: Into<crate::address::AddressError>>,
    ) -> Self {
        self.config.metrics = self.parse(address);
        self
    }
}

#[cfg(feature = "otlp")]
impl super::ServerBuilder {
    /// Exports a span of each call to this OTLP collector.
    pub fn collector(mut self, collector: crate::telemetry::Collector) -> Self {
        self.config.collector = Some(collector);
        self
    }
}
