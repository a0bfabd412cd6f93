//! Checks PEM files before the C-core gets them, since the C-core gives no reasons. It uses the same
//! OpenSSL as the C-core, so both accept the same files. It must not read files.

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslContext, SslMethod};
use openssl::x509::{X509Ref, X509};

use super::files::{Content, FileError};

/// A certificate and its key, checked to belong together.
pub(super) struct Identity {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    /// The certificate's own, without those of its authorities.
    leaf: X509,
}

impl Identity {
    /// Checks that both can be parsed, go together, and are good enough for OpenSSL.
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
        // For example a key that is too short for OpenSSL's security level.
        acceptable(&chain, &private).map_err(|error| certificate.source.error(first(&error)))?;
        Ok(Identity {
            leaf: leaf.clone(),
            certificate: certificate.bytes,
            key: key.bytes,
        })
    }

    /// Why clients refuse the certificate today, although it can be used: its dates.
    pub(super) fn untimely(&self) -> Option<String> {
        untimely(&self.leaf)
    }
}

/// Checks that there is at least one certificate, and nothing that looks like one and is none.
pub(super) fn check_authorities(file: &Content) -> Result<(), FileError> {
    certificates(file).map(drop)
}

const NO_CERTIFICATE: &str = "there is no certificate in it (`-----BEGIN CERTIFICATE-----`)";

/// All certificates of a file; at least one.
fn certificates(file: &Content) -> Result<Vec<X509>, FileError> {
    // The C-core takes a string that ends with a zero.
    if file.bytes.contains(&0) {
        return Err(file.source.error("it is no PEM file: it has a zero in it"));
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
        return Err(file.source.error("it is no PEM file: it has a zero in it"));
    }
    let text = String::from_utf8_lossy(&file.bytes);
    if text.contains("ENCRYPTED") {
        let reason = "it needs a passphrase; only keys without one can be used";
        return Err(file.source.error(reason));
    }
    if !text.contains("PRIVATE KEY-----") {
        let reason = "there is no private key in it (`-----BEGIN PRIVATE KEY-----`)";
        return Err(file.source.error(reason));
    }
    // With a passphrase, or else OpenSSL would ask for one on the terminal.
    PKey::private_key_from_pem_passphrase(&file.bytes, b"").map_err(|error| {
        let reason = format!("the private key in it cannot be read: {}", first(&error));
        file.source.error(reason)
    })
}

/// Does what the C-core will do with them.
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

fn untimely(leaf: &X509Ref) -> Option<String> {
    let now = Asn1Time::days_from_now(0).ok()?;
    if leaf.not_after() < now {
        return Some(format!("it has expired on {}", leaf.not_after()));
    }
    if leaf.not_before() > now {
        return Some(format!("it is not valid before {}", leaf.not_before()));
    }
    None
}

/// OpenSSL's first reason, which is the cause of the others.
fn first(error: &ErrorStack) -> String {
    match error.errors().first().and_then(|error| error.reason()) {
        Some(reason) => reason.to_string(),
        None => "OpenSSL gives no reason".into(),
    }
}
