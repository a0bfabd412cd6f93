//! Generates certificates for a test: an authority and the certificates it signs. It only writes
//! files.

#![allow(dead_code)] // each test program uses its part of it

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A certificate authority that only the test trusts.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A unique name: OpenSSL looks authorities up by name.
        let name = format!("authority {:016x}", fastrand::u64(..));
        let subject = &mut params.distinguished_name;
        subject.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Authority {
            pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Writes its certificate.
    pub fn write(&self, path: &Path) -> PathBuf {
        fs::write(path, &self.pem).unwrap();
        path.into()
    }

    /// A certificate for these names and addresses and its key, both in PEM.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        let params = CertificateParams::new(names).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer);
        (certificate.unwrap().pem(), key.serialize_pem())
    }

    /// Writes a new certificate and its key, `NAME.pem` and `NAME.key`.
    pub fn issue_files(&self, directory: &Path, name: &str, names: &[&str]) -> Files {
        let (certificate, key) = self.issue(names);
        let files = Files {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        };
        fs::write(&files.certificate, certificate).unwrap();
        write_secret(&files.key, &key);
        files
    }
}

/// Writes a file that only its owner can read, atomically.
pub fn write_secret(path: &Path, text: &str) {
    let mut new = path.to_path_buf().into_os_string();
    new.push(".new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    fs::rename(new, path).unwrap();
}
