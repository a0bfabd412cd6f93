//! TLS on the client's side: what it shows and whom it trusts, and the credentials of a channel
//! from that.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use grpcio::{ChannelCredentials, ChannelCredentialsBuilder};

use super::files::{FileError, FileRole, Source};
use super::pem::{check_authorities, Identity};

/// How a client knows its server, and proves who it is itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Who may vouch for the server. `None` is those whom the system trusts (or the file that the
    /// environment variable `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH` names).
    pub authorities: Option<Authorities>,
    /// For mutual TLS. `None` shows the server no certificate.
    pub identity: Option<ClientIdentity>,
    /// The name that the server's certificate must be for. `None` is the host of the address.
    pub server_name: Option<String>,
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

/// A client's certificate and its private key. It does not print them.
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
