//! Configuration of a server, and its validation without a start. It must not know flags or
//! services.

use super::built_in::with_built_in;
use super::connections::ConnectionLimits;
use super::error::StartError;
use super::listen;
use crate::address::Address;
use crate::engine::{StreamsConfig, WorkersConfig};
use crate::message_size::DEFAULT_MESSAGE_BYTES;

/// Default of [`ServerConfig::max_streams_per_connection`].
const MAX_STREAMS_PER_CONNECTION: u32 = 1_000;

/// Configuration of a [`Server`](super::Server).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The addresses to listen on. At least one is required.
    pub listen: Vec<Address>,
    /// The threads that run handlers and producers.
    pub workers: WorkersConfig,
    /// Limits of streams.
    pub streams: StreamsConfig,
    /// Maximum concurrent streams per connection. Further calls wait in the client until a stream
    /// ends. `None` means no limit.
    pub max_streams_per_connection: Option<u32>,
    /// Maximum request size in bytes. A call with a larger request ends with RESOURCE_EXHAUSTED.
    pub max_request_bytes: usize,
    /// Delays each call until its first message has arrived. Until then the call occupies memory
    /// only. Set it to false if the server sends first in a method: such a call would otherwise
    /// wait for ever. Without the patches in scripts/ccore it has no effect.
    pub await_requests: bool,
    /// Compresses responses with gzip for clients that accept it. Compression runs on the poll
    /// threads, so large responses delay other calls. Compressed requests are always accepted.
    pub gzip: bool,
    /// TLS files. `None` serves unencrypted.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::security::ServerTls>,
    /// A file of bearer tokens, one per line. Lines that begin with `#` are comments. A call
    /// without a listed token ends with UNAUTHENTICATED. A changed file is reloaded; an empty or
    /// deleted file revokes all tokens.
    #[cfg(feature = "tls")]
    pub token_file: Option<std::path::PathBuf>,
    /// Limits of connections and their memory.
    pub connections: ConnectionLimits,
    /// Built-in services: health, reflection, channelz.
    #[cfg(feature = "services")]
    pub services: crate::services::ServicesConfig,
    /// TCP address of metrics, health and readiness over HTTP. `None` disables them.
    #[cfg(feature = "metrics")]
    pub metrics: Option<Address>,
    /// OTLP collector for a span of each call. `None` disables spans.
    #[cfg(feature = "otlp")]
    pub collector: Option<crate::telemetry::Collector>,
}

impl ServerConfig {
    /// Validates the configuration without binding an address. Blocks while files are read and host
    /// names are resolved.
    ///
    /// # Errors
    /// [`StartError`] if a file or an address is unusable, or no address is configured.
    pub fn check(&self) -> Result<(), StartError> {
        with_built_in(self, Vec::new())?;
        #[cfg(feature = "metrics")]
        if let Some(address) = &self.metrics {
            listen::check(address)?;
        }
        if self.listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        for address in &self.listen {
            listen::check(address)?;
        }
        Ok(())
    }
}

impl Default for ServerConfig {
    /// No address, requests of up to 4 MiB, 1,000 streams per connection, no TLS, no tokens.
    fn default() -> ServerConfig {
        ServerConfig {
            listen: Vec::new(),
            workers: WorkersConfig::default(),
            streams: StreamsConfig::default(),
            max_streams_per_connection: Some(MAX_STREAMS_PER_CONNECTION),
            max_request_bytes: DEFAULT_MESSAGE_BYTES,
            await_requests: true,
            gzip: false,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            token_file: None,
            connections: ConnectionLimits::default(),
            #[cfg(feature = "services")]
            services: Default::default(),
            #[cfg(feature = "metrics")]
            metrics: None,
            #[cfg(feature = "otlp")]
            collector: None,
        }
    }
}
