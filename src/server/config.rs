//! Configuration of a server, and its check without a start. It must not know flags or services.

#[cfg(feature = "tls")]
use std::path::PathBuf;

#[cfg(feature = "services")]
use super::builtin_services::ServicesConfig;
use super::connections::ConnectionLimits;
use super::error::StartError;
use super::listen;
use crate::address::Address;
use crate::engine::{StreamsConfig, WorkersConfig};
#[cfg(feature = "tls")]
use crate::security::{ServerIdentity, ServerTls, TokenSet};
#[cfg(feature = "otlp")]
use crate::telemetry::Collector;

/// Default of [`ServerConfig::max_streams_per_connection`].
const MAX_STREAMS_PER_CONNECTION: u32 = 1_000;

/// Default of [`ServerConfig::max_request_bytes`]: that of gRPC.
const MAX_REQUEST_BYTES: usize = 4 << 20;

/// Configuration of a [`Server`](super::Server).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The addresses to listen on; at least one.
    pub listen: Vec<Address>,
    /// The threads that run handlers and producers.
    pub workers: WorkersConfig,
    /// Limits of streams.
    pub streams: StreamsConfig,
    /// The most streams open at once on one connection. A client holds back further calls until one of
    /// them ends. `None` is no limit.
    pub max_streams_per_connection: Option<u32>,
    /// The largest request, in bytes. A larger one ends with RESOURCE_EXHAUSTED.
    pub max_request_bytes: usize,
    /// A call reaches its handler only once its first message has arrived, so that calls without one
    /// hold nothing but their memory. Set it to false for a method in which the server speaks first:
    /// such a call would wait for ever. Needs the patches in scripts/ccore.
    pub await_requests: bool,
    /// Compress responses with gzip for clients that accept it. The poll thread does that, so large
    /// responses delay other calls. Requests may be compressed in any case.
    pub gzip: bool,
    /// Serve TLS only. `None` serves in the clear.
    #[cfg(feature = "tls")]
    pub tls: Option<ServerTls>,
    /// A file of bearer tokens, one a line, with comments after `#`. A call without one of them ends
    /// with UNAUTHENTICATED. The file is reloaded when it changes; an emptied or deleted file revokes
    /// all tokens.
    #[cfg(feature = "tls")]
    pub token_file: Option<PathBuf>,
    /// Limits of connections and their memory.
    pub connections: ConnectionLimits,
    /// Services for tools, beside those that are added.
    #[cfg(feature = "services")]
    pub services: ServicesConfig,
    /// The TCP address of metrics, health and readiness over HTTP. `None` serves none.
    #[cfg(feature = "metrics")]
    pub metrics: Option<Address>,
    /// The collector that receives a span of each call. `None` makes no spans.
    #[cfg(feature = "otlp")]
    pub collector: Option<Collector>,
}

impl ServerConfig {
    /// Checks whether a server could start: reads the files and resolves host names, which blocks.
    /// Binds nothing.
    ///
    /// # Errors
    /// When a file or an address cannot be used, or there is no address.
    pub fn check(&self) -> Result<(), StartError> {
        #[cfg(feature = "tls")]
        {
            self.tls.as_ref().map(ServerIdentity::load).transpose()?;
            let token_file = self.token_file.as_deref();
            token_file.map(TokenSet::load).transpose()?;
        }
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
    /// No address yet; requests of up to 4 MiB, 1,000 streams on a connection; in the clear, for
    /// everybody.
    fn default() -> ServerConfig {
        ServerConfig {
            listen: Vec::new(),
            workers: WorkersConfig::default(),
            streams: StreamsConfig::default(),
            max_streams_per_connection: Some(MAX_STREAMS_PER_CONNECTION),
            max_request_bytes: MAX_REQUEST_BYTES,
            await_requests: true,
            gzip: false,
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            token_file: None,
            connections: ConnectionLimits::default(),
            #[cfg(feature = "services")]
            services: ServicesConfig::default(),
            #[cfg(feature = "metrics")]
            metrics: None,
            #[cfg(feature = "otlp")]
            collector: None,
        }
    }
}
