//! Errors of a server's start. It must not know exit codes or flags.

use std::io;

use super::listen::ListenError;
#[cfg(feature = "metrics")]
use crate::address::Address;
use crate::address::AddressError;
use crate::engine::grpcio_error::Words;
#[cfg(feature = "tls")]
use crate::security::FileError;
#[cfg(feature = "services")]
use crate::services::DescriptorError;
#[cfg(feature = "otlp")]
use crate::telemetry::CollectorError;

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No address is configured.
    #[error("no address to listen on")]
    NoAddress,
    /// A text is not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// An address cannot be bound.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Two services have a method of this name.
    #[error("the method {0} is served twice")]
    DuplicateMethod(&'static str),
    /// A TLS file or the token file is unusable.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    File(#[from] FileError),
    /// A thread cannot be started, or a signal handler cannot be registered.
    #[error("cannot start threads or handle signals: {0}")]
    Threads(#[from] io::Error),
    /// The descriptors for reflection are invalid.
    #[cfg(feature = "services")]
    #[error(transparent)]
    Descriptors(#[from] DescriptorError),
    /// The address for metrics cannot be bound.
    #[cfg(feature = "metrics")]
    #[error("cannot listen on {address}: {reason}")]
    Metrics {
        /// The configured address.
        address: Address,
        /// The system's error.
        reason: io::Error,
    },
    /// The collector's URL is unusable.
    #[cfg(feature = "otlp")]
    #[error(transparent)]
    Collector(#[from] CollectorError),
    /// The C-core cannot start.
    #[error("the C-core cannot start a server: {}", Words(.0))]
    Core(#[from] grpcio::Error),
}
