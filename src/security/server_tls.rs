//! TLS of a server: credentials made from files. After a change of the files, new connections get
//! new credentials; open connections keep theirs. It must not know flags or addresses.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use grpcio::{
    CertificateRequestType, ServerCredentials, ServerCredentialsBuilder, ServerCredentialsFetcher,
};

use super::files::{Content, FileError, FileRole, Source};
use super::pem::{check_authorities, Identity};
use super::reload::{Poll, Reloadable};

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
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> ServerTls {
        ServerTls {
            certificate: certificate.into(),
            key: key.into(),
            client_authorities: None,
        }
    }
}

/// The last usable contents of the files of a [`ServerTls`].
#[derive(Clone)]
pub(crate) struct ServerIdentity {
    material: Arc<Reloadable<Material>>,
    request: CertificateRequestType,
}

struct Material {
    identity: Identity,
    client_authorities: Option<Vec<u8>>,
}

impl ServerIdentity {
    /// Reads and validates the files. Blocks while they are read.
    ///
    /// # Errors
    /// If a file is unusable.
    pub(crate) fn load(tls: &ServerTls) -> Result<ServerIdentity, FileError> {
        let mut sources = vec![
            Source::new(FileRole::Certificate, &tls.certificate),
            Source::new(FileRole::Key, &tls.key),
        ];
        let request = match &tls.client_authorities {
            Some(path) => {
                sources.push(Source::new(FileRole::Authorities, path));
                CertificateRequestType::RequestAndRequireClientCertificateAndVerify
            }
            None => CertificateRequestType::DontRequestClientCertificate,
        };
        Ok(ServerIdentity {
            material: Reloadable::load(sources, check, |contents| check(contents?))?,
            request,
        })
    }

    /// Makes the credentials of one port.
    pub(crate) fn credentials(&self) -> ServerCredentials {
        let fetcher = Fetcher {
            material: self.material.clone(),
            fetched: Mutex::default(),
        };
        ServerCredentials::with_fetcher(Box::new(fetcher), self.request)
    }

    /// Returns the files, for the polling thread.
    pub(crate) fn watched(&self) -> Arc<dyn Poll> {
        self.material.clone()
    }
}

fn check(contents: Vec<Content>) -> Result<Material, FileError> {
    let mut contents = contents.into_iter();
    let (Some(certificate), Some(key)) = (contents.next(), contents.next()) else {
        unreachable!("both files are in the sources")
    };
    let path = certificate.source.path.display().to_string();
    let identity = Identity::check(certificate, key)?;
    let authorities = contents.next();
    authorities.as_ref().map_or(Ok(()), check_authorities)?;
    if let Some(why) = identity.validity_problem() {
        tracing::warn!("clients will refuse the certificate in `{path}`: {why}");
    }
    Ok(Material {
        identity,
        client_authorities: authorities.map(|file| file.bytes),
    })
}

/// Gives the C-core the current credentials. The C-core calls it before each handshake, on a poll
/// thread.
struct Fetcher {
    material: Arc<Reloadable<Material>>,
    /// Source of the C-core's current credentials.
    fetched: Mutex<Option<Arc<Material>>>,
}

impl ServerCredentialsFetcher for Fetcher {
    fn fetch(
        &self,
    ) -> Result<Option<ServerCredentialsBuilder>, Box<dyn std::error::Error + 'static>> {
        let current = self.material.value();
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched
            .as_ref()
            .is_some_and(|old| Arc::ptr_eq(old, &current))
        {
            return Ok(None);
        }
        let Material {
            identity,
            client_authorities,
        } = &*current;
        // The C-core takes the request type from `with_fetcher`, not from here. Its debug build
        // requires authorities even if no client certificate is requested.
        let authorities = client_authorities.as_ref().unwrap_or(&identity.certificate);
        let credentials = ServerCredentialsBuilder::new()
            .root_cert(
                authorities.clone(),
                CertificateRequestType::DontRequestClientCertificate,
            )
            .add_cert(identity.certificate.clone(), identity.key.clone());
        *fetched = Some(current);
        Ok(Some(credentials))
    }
}
