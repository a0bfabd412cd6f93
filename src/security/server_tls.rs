//! TLS of a server: credentials made from files. After a change of the files, new connections get
//! new credentials; open connections keep theirs. It must not know flags or addresses.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use grpcio::{
    CertificateRequestType, ServerCredentials, ServerCredentialsBuilder, ServerCredentialsFetcher,
};

use super::files::{Content, FileError, FileRole, Source};
use super::pem::{check_authorities, Identity};
use super::reload::Reloadable;
use super::watch::Group;

/// PEM files of a server's TLS. Changed files are reloaded for new connections. Unusable changes
/// are logged and ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The server's certificate, followed by the intermediate certificates.
    pub certificate: PathBuf,
    /// The private key of the certificate, without a passphrase.
    pub key: PathBuf,
    /// Mutual TLS: every client needs a certificate from one of these authorities. `None` requests
    /// no client certificate.
    pub client_authorities: Option<PathBuf>,
}

impl ServerTls {
    /// Returns TLS with this certificate and key, without client certificates.
    pub fn new(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> ServerTls {
        ServerTls {
            certificate: certificate.as_ref().into(),
            key: key.as_ref().into(),
            client_authorities: None,
        }
    }
}

/// The last usable contents of the files of a [`ServerTls`]. The certificate and the key change
/// together; the authorities are a file of their own, so neither keeps the other from a change.
#[derive(Clone)]
pub(crate) struct ServerIdentity {
    identity: Arc<Reloadable<Identity>>,
    client_authorities: Option<Arc<Reloadable<Vec<u8>>>>,
}

impl ServerIdentity {
    /// Reads and validates the files. Blocks while they are read.
    ///
    /// # Errors
    /// If a file is unusable.
    pub(crate) fn load(tls: &ServerTls) -> Result<ServerIdentity, FileError> {
        let pair = vec![
            Source::new(FileRole::Certificate, &tls.certificate),
            Source::new(FileRole::Key, &tls.key),
        ];
        let authorities = tls.client_authorities.as_ref().map(|path| {
            let file = vec![Source::new(FileRole::Authorities, path)];
            Reloadable::load(file, authorities, |contents| authorities(contents?))
        });
        Ok(ServerIdentity {
            identity: Reloadable::load(pair, identity, |contents| identity(contents?))?,
            client_authorities: authorities.transpose()?,
        })
    }

    /// Makes the credentials of one port.
    pub(crate) fn credentials(&self) -> ServerCredentials {
        let request = match &self.client_authorities {
            Some(_) => CertificateRequestType::RequestAndRequireClientCertificateAndVerify,
            None => CertificateRequestType::DontRequestClientCertificate,
        };
        let fetcher = Fetcher {
            current: self.clone(),
            fetched: Mutex::default(),
        };
        ServerCredentials::with_fetcher(Box::new(fetcher), request)
    }

    /// Returns the files, for a [`Watcher`](super::Watcher).
    pub(crate) fn watched(&self) -> Vec<Arc<dyn Group>> {
        let mut groups: Vec<Arc<dyn Group>> = vec![self.identity.clone()];
        if let Some(authorities) = &self.client_authorities {
            groups.push(authorities.clone());
        }
        groups
    }

    fn material(&self) -> Material {
        let authorities = self.client_authorities.as_ref();
        Material {
            identity: self.identity.value(),
            client_authorities: authorities.map(|file| file.value()),
        }
    }
}

fn identity(contents: Vec<Content>) -> Result<Identity, FileError> {
    let mut contents = contents.into_iter();
    let (Some(certificate), Some(key)) = (contents.next(), contents.next()) else {
        unreachable!("both files are in the sources")
    };
    let path = certificate.source.path.display().to_string();
    let identity = Identity::check(certificate, key)?;
    if let Some(why) = identity.validity_problem() {
        tracing::warn!("clients will refuse the certificate in `{path}`: {why}");
    }
    Ok(identity)
}

fn authorities(mut contents: Vec<Content>) -> Result<Vec<u8>, FileError> {
    contents.iter().try_for_each(check_authorities)?;
    Ok(contents.pop().map_or_else(Vec::new, |file| file.bytes))
}

/// What credentials are made from.
struct Material {
    identity: Arc<Identity>,
    client_authorities: Option<Arc<Vec<u8>>>,
}

impl Material {
    fn is(&self, other: &Material) -> bool {
        let authorities = (&self.client_authorities, &other.client_authorities);
        let same_authorities = match authorities {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same_authorities && Arc::ptr_eq(&self.identity, &other.identity)
    }

    fn credentials(&self) -> ServerCredentialsBuilder {
        let Identity {
            certificate, key, ..
        } = &*self.identity;
        // The C-core takes the request type from `with_fetcher`, not from here. Its debug build
        // requires authorities even if no client certificate is requested.
        let authorities = self.client_authorities.as_deref().unwrap_or(certificate);
        ServerCredentialsBuilder::new()
            .root_cert(
                authorities.clone(),
                CertificateRequestType::DontRequestClientCertificate,
            )
            .add_cert(certificate.clone(), key.clone())
    }
}

/// Gives the C-core the current credentials. The C-core calls it before each handshake, on a poll
/// thread.
struct Fetcher {
    current: ServerIdentity,
    /// Source of the C-core's current credentials.
    fetched: Mutex<Option<Material>>,
}

impl ServerCredentialsFetcher for Fetcher {
    fn fetch(
        &self,
    ) -> Result<Option<ServerCredentialsBuilder>, Box<dyn std::error::Error + 'static>> {
        let current = self.current.material();
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched.as_ref().is_some_and(|old| old.is(&current)) {
            return Ok(None);
        }
        let credentials = current.credentials();
        *fetched = Some(current);
        Ok(Some(credentials))
    }
}
