//! Errors of a server's start. It must not know exit codes or flags.

use std::io;

use super::listen::ListenError;
use crate::address::AddressError;
use crate::engine::grpcio_error::Words;
use crate::extension::BoxError;

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
    /// A thread cannot be started, or a signal handler cannot be registered.
    #[error("cannot start threads or handle signals: {0}")]
    Threads(#[from] io::Error),
    /// An extension has failed or panicked. `reason` is its own error; that of a built-in one is a
    /// `security::FileError`, `services::DescriptorError`, `metrics::MetricsError` or
    /// `telemetry::CollectorError`.
    #[error("{name}: {reason}")]
    Extension {
        /// See [`Extension::name`](super::Extension::name).
        name: String,
        /// Its error.
        reason: BoxError,
    },
    /// The C-core cannot start.
    #[error("the C-core cannot start a server: {}", Words(.0))]
    Core(#[from] grpcio::Error),
}

impl StartError {
    pub(super) fn extension(name: &str, reason: BoxError) -> StartError {
        let name = name.into();
        StartError::Extension { name, reason }
    }
}
