//! TLS on the server's side: from files to credentials for each port, and to new ones for new
//! connections when the files change. Connections that are open keep what they were made with.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use grpcio::{
    CertificateRequestType, ServerCredentials, ServerCredentialsBuilder, ServerCredentialsFetcher,
};

use super::files::{Content, FileError, FileRole, Source};
use super::pem::{check_authorities, Identity};
use super::reload::Kept;

/// How a server proves who it is; all files are PEM. They are read again when they change, and
/// what is in them then is used for new connections; files that cannot be used change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The server's certificate, and behind it those between it and its authority.
    pub certificate: PathBuf,
    /// The private key of the certificate, without a passphrase.
    pub key: PathBuf,
    /// Mutual TLS: the authorities of which each client must have a certificate. `None` asks
    /// clients for none.
    pub client_authorities: Option<PathBuf>,
}

/// The files of a [`ServerTls`], as they were last usable.
#[derive(Clone)]
pub(crate) struct ServerIdentity {
    kept: Arc<Kept<Proof>>,
    request: CertificateRequestType,
}

struct Proof {
    identity: Identity,
    client_authorities: Option<Vec<u8>>,
}

impl ServerIdentity {
    /// Reads the files, which blocks.
    ///
    /// # Errors
    /// When they cannot be used.
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
            kept: Kept::load(sources, prove)?,
            request,
        })
    }

    /// Credentials for one port.
    pub(crate) fn credentials(&self) -> ServerCredentials {
        let fetcher = Fetcher {
            kept: self.kept.clone(),
            given: Mutex::default(),
        };
        ServerCredentials::with_fetcher(Box::new(fetcher), self.request)
    }

    /// For the thread that looks at the files.
    pub(crate) fn watched(&self) -> Arc<dyn super::reload::Look> {
        self.kept.clone()
    }
}

fn prove(contents: Vec<Content>) -> Result<Proof, FileError> {
    let mut contents = contents.into_iter();
    let (Some(certificate), Some(key)) = (contents.next(), contents.next()) else {
        unreachable!("both were asked for")
    };
    let path = certificate.source.path.display().to_string();
    let identity = Identity::check(certificate, key)?;
    let authorities = contents.next();
    authorities.as_ref().map_or(Ok(()), check_authorities)?;
    if let Some(why) = identity.untimely() {
        tracing::warn!("clients will refuse the certificate in `{path}`: {why}");
    }
    Ok(Proof {
        identity,
        client_authorities: authorities.map(|file| file.bytes),
    })
}

/// The C-core asks it before each handshake, on a poll thread.
struct Fetcher {
    kept: Arc<Kept<Proof>>,
    /// What the C-core has.
    given: Mutex<Option<Arc<Proof>>>,
}

impl ServerCredentialsFetcher for Fetcher {
    fn fetch(
        &self,
    ) -> Result<Option<ServerCredentialsBuilder>, Box<dyn std::error::Error + 'static>> {
        let current = self.kept.value();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.as_ref().is_some_and(|old| Arc::ptr_eq(old, &current)) {
            return Ok(None);
        }
        let Proof {
            identity,
            client_authorities,
        } = &*current;
        // The C-core takes the kind of request from the credentials, and in a debug build insists
        // on authorities, also where nobody is asked for a certificate.
        let authorities = client_authorities.as_ref().unwrap_or(&identity.certificate);
        let credentials = ServerCredentialsBuilder::new()
            .root_cert(
                authorities.clone(),
                CertificateRequestType::DontRequestClientCertificate,
            )
            .add_cert(identity.certificate.clone(), identity.key.clone());
        *given = Some(current);
        Ok(Some(credentials))
    }
}
