//! Validates PEM files before the C-core uses them, because the C-core reports no reasons. It uses
//! the same OpenSSL as the C-core, so both accept the same files. It must not read files.

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContext, SslMethod};
use openssl::x509::{X509Ref, X509};

use super::files::{Content, FileError};

/// A certificate and its private key, which match.
pub(super) struct Identity {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    /// The first certificate, without the intermediate ones.
    leaf: X509,
}

impl Identity {
    /// Checks that both can be parsed, match, and satisfy OpenSSL's security level.
    pub(super) fn check(certificate: Content, key: Content) -> Result<Identity, FileError> {
        let chain = certificates(&certificate)?;
        let private = private_key(&key)?;
        let [leaf, ..] = &chain[..] else {
            return Err(certificate.source.error(NO_CERTIFICATE));
        };
        let fits = leaf.public_key().is_ok_and(|of| of.public_eq(&private));
        if !fits {
            let path = certificate.source.path.display();
            let reason = format!("it is not the key of the certificate in `{path}`");
            return Err(key.source.error(reason));
        }
        // Fails, for example, if the key is too short for OpenSSL's security level.
        acceptable(&chain, &private).map_err(|error| certificate.source.error(first(&error)))?;
        Ok(Identity {
            leaf: leaf.clone(),
            certificate: certificate.bytes,
            key: key.bytes,
        })
    }

    /// Returns why clients refuse the certificate today, if it has expired or is not valid yet.
    pub(super) fn validity_problem(&self) -> Option<String> {
        validity_problem(&self.leaf)
    }
}

/// Checks that the file has at least one certificate, and only valid ones.
pub(super) fn check_authorities(file: &Content) -> Result<(), FileError> {
    certificates(file).map(drop)
}

const NO_CERTIFICATE: &str = "it has no certificate (`-----BEGIN CERTIFICATE-----`)";

/// Returns all certificates of a file, at least one.
fn certificates(file: &Content) -> Result<Vec<X509>, FileError> {
    // The C-core takes a NUL-terminated string.
    if file.bytes.contains(&0) {
        return Err(file
            .source
            .error("it is no PEM file: it contains a NUL byte"));
    }
    match X509::stack_from_pem(&file.bytes) {
        Ok(found) if found.is_empty() => Err(file.source.error(NO_CERTIFICATE)),
        Ok(found) => Ok(found),
        Err(error) => {
            let reason = format!("a certificate in it cannot be read: {}", first(&error));
            Err(file.source.error(reason))
        }
    }
}

fn private_key(file: &Content) -> Result<PKey<Private>, FileError> {
    if file.bytes.contains(&0) {
        return Err(file
            .source
            .error("it is no PEM file: it contains a NUL byte"));
    }
    let text = String::from_utf8_lossy(&file.bytes);
    if text.contains("ENCRYPTED") {
        let reason = "it needs a passphrase; only keys without one can be used";
        return Err(file.source.error(reason));
    }
    if !text.contains("PRIVATE KEY-----") {
        let reason = "it has no private key (`-----BEGIN PRIVATE KEY-----`)";
        return Err(file.source.error(reason));
    }
    // Without the passphrase argument, OpenSSL would ask for one on the terminal.
    PKey::private_key_from_pem_passphrase(&file.bytes, b"").map_err(|error| {
        let reason = format!("the private key in it cannot be read: {}", first(&error));
        file.source.error(reason)
    })
}

/// Loads both into a TLS context, as the C-core does.
fn acceptable(chain: &[X509], key: &PKey<Private>) -> Result<(), ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls())?;
    if let [leaf, between @ ..] = chain {
        context.set_certificate(leaf)?;
        for certificate in between {
            context.add_extra_chain_cert(certificate.clone())?;
        }
    }
    context.set_private_key(key)?;
    context.check_private_key()
}

fn validity_problem(leaf: &X509Ref) -> Option<String> {
    let now = Asn1Time::days_from_now(0).ok()?;
    if leaf.not_after() < now {
        return Some(format!("it has expired on {}", leaf.not_after()));
    }
    if leaf.not_before() > now {
        return Some(format!("it is not valid before {}", leaf.not_before()));
    }
    None
}

/// Returns OpenSSL's first reason, which is the cause of the others.
fn first(error: &ErrorStack) -> String {
    match error.errors().first().and_then(|error| error.reason()) {
        Some(reason) => reason.to_string(),
        None => "OpenSSL gives no reason".into(),
    }
}
