//! The key that authenticates tokens. It must not know their content.

use std::fmt;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;

use crate::read_file;

/// The least bytes of a secret, and the most.
const MIN_BYTES: usize = 16;
const MAX_BYTES: u64 = 4096;

/// A secret that authenticates the tokens of a server. Servers that share it, and have copies of the
/// same data, resume each other's streams. `Debug` omits it.
#[derive(Clone)]
pub struct ResumeKey(PKey<Private>);

/// A [`ResumeKey`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeKeyError {
    /// The file cannot be read.
    #[error("the key `{}`: {reason}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// Why not.
        reason: std::io::Error,
    },
    /// The secret is too short.
    #[error("a key needs {MIN_BYTES} bytes at least, such as those of `openssl rand -hex 32`")]
    TooShort,
    /// OpenSSL failed.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
}

impl ResumeKey {
    /// A random key: tokens are valid until this process ends.
    ///
    /// # Errors
    /// OpenSSL has no random numbers.
    pub fn random() -> Result<ResumeKey, ResumeKeyError> {
        let mut secret = [0; 32];
        openssl::rand::rand_bytes(&mut secret)?;
        ResumeKey::new(secret)
    }

    /// A key of these bytes.
    ///
    /// # Errors
    /// They are fewer than 16.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<ResumeKey, ResumeKeyError> {
        match secret.as_ref() {
            secret if secret.len() < MIN_BYTES => Err(ResumeKeyError::TooShort),
            secret => Ok(ResumeKey(PKey::hmac(secret)?)),
        }
    }

    /// A key of the bytes of this file, without white space at its end. Blocks while it is read.
    ///
    /// # Errors
    /// The file cannot be read, or has fewer than 16 bytes.
    pub fn from_file(path: impl AsRef<Path>) -> Result<ResumeKey, ResumeKeyError> {
        let path = path.as_ref();
        let secret = read_file::read(path, MAX_BYTES);
        let secret = secret.map_err(|reason| ResumeKeyError::Unreadable {
            path: path.into(),
            reason,
        })?;
        ResumeKey::new(secret.trim_ascii_end())
    }

    /// HMAC-SHA256 of the parts, one after the other.
    pub(super) fn authenticate(&self, parts: &[&[u8]]) -> Result<Vec<u8>, ErrorStack> {
        let mut signer = Signer::new(MessageDigest::sha256(), &self.0)?;
        for part in parts {
            signer.update(part)?;
        }
        signer.sign_to_vec()
    }
}

impl fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_file_is_that_of_its_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef\n").unwrap();
        let (one, other) = (
            ResumeKey::from_file(file.path()).unwrap(),
            ResumeKey::new(b"0123456789abcdef").unwrap(),
        );
        let tag = |key: &ResumeKey| key.authenticate(&[b"a", b"b"]).unwrap();
        assert_eq!(tag(&one), tag(&other));
        assert_ne!(tag(&one), tag(&ResumeKey::random().unwrap()));
        assert!(!format!("{one:?}").contains("0123"));
    }

    #[test]
    fn an_unusable_file_is_named() {
        let missing = ResumeKey::from_file("/no/such").unwrap_err().to_string();
        assert!(missing.contains("/no/such"), "{missing}");
        let short = ResumeKey::new("short").unwrap_err().to_string();
        assert!(short.contains("16 bytes"), "{short}");
    }
}
