//! Certificates for the runs over TLS: an authority and a server certificate, new for each run.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

/// The name in the server's certificate.
const NAME: &str = "localhost";

/// PEM files in a directory that is deleted on drop.
pub struct Certs {
    directory: TempDir,
}

impl Certs {
    pub fn generate() -> Result<Certs> {
        let certs = Certs {
            directory: tempfile::tempdir().context("a directory for certificates")?,
        };
        let authority_key = KeyPair::generate()?;
        let mut authority = named("compare's authority", vec![])?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate()?;
        let server = named(NAME, vec![NAME.into()])?.signed_by(&key, &issuer)?;
        fs::write(certs.file("ca.pem"), authority_pem)?;
        fs::write(certs.file("server.pem"), server.pem())?;
        fs::write(certs.file("server.key"), key.serialize_pem())?;
        Ok(certs)
    }

    pub fn server_flags(&self) -> Vec<String> {
        vec![
            "--tls-cert".into(),
            self.text("server.pem"),
            "--tls-key".into(),
            self.text("server.key"),
        ]
    }

    pub fn client_flags(&self) -> Vec<String> {
        vec![
            "--tls-ca".into(),
            self.text("ca.pem"),
            "--server-name".into(),
            NAME.into(),
        ]
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.file(name).to_string_lossy().into_owned()
    }
}

fn named(name: &str, hosts: Vec<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(hosts)?;
    // With the same name, the server's certificate would pass for self-signed.
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
