//! Errors of a server's start.

use std::io;

use super::listen::ListenError;
#[cfg(feature = "metrics")]
use crate::address::Address;
#[cfg(feature = "tls")]
use crate::security::FileError;
#[cfg(feature = "services")]
use crate::services::DescriptorError;
#[cfg(feature = "otlp")]
use crate::telemetry::CollectorError;

/// A server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No address was given.
    #[error("there is no address to listen on")]
    NoAddress,
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Two of the services have a method of this name.
    #[error("the method {0} is served twice")]
    DuplicateMethod(&'static str),
    /// A file for TLS or of tokens cannot be used.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    File(#[from] FileError),
    /// The system refuses threads or signals.
    #[error("the system refuses threads or signals: {0}")]
    Threads(#[from] io::Error),
    /// The descriptors for reflection are broken.
    #[cfg(feature = "services")]
    #[error(transparent)]
    Descriptors(#[from] DescriptorError),
    /// The address for metrics cannot be listened on.
    #[cfg(feature = "metrics")]
    #[error("cannot listen on {address}: {reason}")]
    Metrics {
        /// The configured address.
        address: Address,
        /// The system's error.
        reason: io::Error,
    },
    /// The collector's URL cannot be used.
    #[cfg(feature = "otlp")]
    #[error(transparent)]
    Collector(#[from] CollectorError),
    /// The C-core refuses to start.
    #[error("the C-core cannot start a server: {0}")]
    Core(#[from] grpcio::Error),
}
