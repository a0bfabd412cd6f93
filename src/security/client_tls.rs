//! A client's TLS: its certificate, the authorities it trusts, and channel credentials made from
//! them. It must not know flags or addresses.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use grpcio::{ChannelCredentials, ChannelCredentialsBuilder};

use super::files::{FileError, FileRole, Source};
use super::pem::{check_authorities, Identity};

/// Configuration of a client's TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The authorities that the server's certificate must be from. `None` is the system's (or the file
    /// in the environment variable `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`).
    pub authorities: Option<Authorities>,
    /// The client's certificate, for mutual TLS. `None` sends no certificate.
    pub identity: Option<ClientIdentity>,
    /// The name that the server's certificate must be for. `None` is the host of the address.
    pub server_name: Option<String>,
}

impl ClientTls {
    /// TLS to a server whose certificate is from one of the authorities in this PEM file. Blocks while
    /// it is read.
    ///
    /// # Errors
    /// As [`Authorities::from_file`].
    pub fn with_authorities(path: impl Into<PathBuf>) -> Result<ClientTls, FileError> {
        Ok(ClientTls {
            authorities: Some(Authorities::from_file(path)?),
            ..ClientTls::default()
        })
    }
}

/// The certificates of authorities.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(Arc<Vec<u8>>);

impl Authorities {
    /// From a PEM file. Blocks while it is read.
    ///
    /// # Errors
    /// When it cannot be read, or is not one or several certificates.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Authorities, FileError> {
        let file = Source::new(FileRole::Authorities, path).read()?;
        check_authorities(&file)?;
        Ok(Authorities(Arc::new(file.bytes)))
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities(…)")
    }
}

/// A client's certificate and its private key. Neither is printed.
#[derive(Clone)]
pub struct ClientIdentity(Arc<Identity>);

impl ClientIdentity {
    /// From PEM files: the certificate, with those between it and its authority behind it, and its
    /// key, without a passphrase. Blocks while they are read.
    ///
    /// # Errors
    /// When they cannot be read, or do not go together.
    pub fn from_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<ClientIdentity, FileError> {
        let certificate = Source::new(FileRole::Certificate, certificate).read()?;
        let key = Source::new(FileRole::Key, key).read()?;
        Ok(ClientIdentity(Arc::new(Identity::check(certificate, key)?)))
    }
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &ClientIdentity) -> bool {
        self.0.certificate == other.0.certificate && self.0.key == other.0.key
    }
}

impl Eq for ClientIdentity {}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity(…)")
    }
}

impl ClientTls {
    /// Credentials for one channel.
    pub(crate) fn credentials(&self) -> ChannelCredentials {
        let mut builder = ChannelCredentialsBuilder::new();
        if let Some(Authorities(pem)) = &self.authorities {
            builder = builder.root_cert(pem.to_vec());
        }
        if let Some(ClientIdentity(identity)) = &self.identity {
            builder = builder.cert(identity.certificate.clone(), identity.key.clone());
        }
        builder.build()
    }
}
