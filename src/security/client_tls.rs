//! TLS of a client: its certificate, its trusted authorities, and the channel credentials made from
//! them. It must not know flags or addresses.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use grpcio::{ChannelCredentials, ChannelCredentialsBuilder};

use super::files::{Content, FileError, FileRole, Source};
use super::init_openssl;
use super::pem::{check_authorities, Identity};
use super::roots;

/// Configuration of a client's TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Trusted authorities. `None` trusts those that the environment variables
    /// `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`, or `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or those of
    /// the system.
    pub authorities: Option<Authorities>,
    /// The client's certificate and key, for mutual TLS. `None` sends no certificate.
    pub identity: Option<ClientIdentity>,
    /// Name expected in the server's certificate. `None` expects the host of the address.
    pub server_name: Option<String>,
}

impl ClientTls {
    /// Returns a configuration that trusts the authorities in this PEM file only. Blocks while the
    /// file is read.
    ///
    /// # Errors
    /// Those of [`Authorities::from_file`].
    pub fn with_authorities(path: impl AsRef<Path>) -> Result<ClientTls, FileError> {
        Ok(ClientTls {
            authorities: Some(Authorities::from_file(path)?),
            ..ClientTls::default()
        })
    }
}

/// Certificates of trusted authorities.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(Arc<Vec<u8>>);

impl Authorities {
    /// Reads a PEM file with one or several certificates. Blocks while the file is read.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read, or has no certificate or an invalid one.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Authorities, FileError> {
        let file = Source::new(FileRole::Authorities, path).read()?;
        Authorities::from_content(file)
    }

    /// As [`Authorities::from_file`], for content that was read from `path`.
    pub(super) fn from_pem(
        bytes: Vec<u8>,
        path: impl AsRef<Path>,
    ) -> Result<Authorities, FileError> {
        let source = Source::new(FileRole::Authorities, path);
        Authorities::from_content(Content { source, bytes })
    }

    fn from_content(file: Content) -> Result<Authorities, FileError> {
        check_authorities(&file)?;
        Ok(Authorities(Arc::new(file.bytes)))
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let pem = String::from_utf8_lossy(&self.0);
        pem.matches("BEGIN CERTIFICATE").count()
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities(…)")
    }
}

/// A client's certificate and private key. `Debug` omits both.
#[derive(Clone)]
pub struct ClientIdentity(Arc<Identity>);

impl ClientIdentity {
    /// Reads PEM files: the certificate, followed by the intermediate certificates, and its private
    /// key without a passphrase. Blocks while the files are read.
    ///
    /// # Errors
    /// [`FileError`] if a file cannot be read, or the key is not that of the certificate.
    pub fn from_files(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
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
    /// Makes the credentials of one channel. Blocks while files of the environment are read.
    ///
    /// # Errors
    /// [`FileError`] if such a file is unusable.
    pub(crate) fn credentials(&self) -> Result<ChannelCredentials, FileError> {
        init_openssl();
        let mut builder = ChannelCredentialsBuilder::new();
        let authorities = match &self.authorities {
            Some(authorities) => Some(authorities.clone()),
            None => roots::from_environment()?,
        };
        if let Some(Authorities(pem)) = authorities {
            builder = builder.root_cert(pem.to_vec());
        }
        if let Some(ClientIdentity(identity)) = &self.identity {
            builder = builder.cert(identity.certificate.clone(), identity.key.clone());
        }
        Ok(builder.build())
    }
}
