//! Reads TLS and token files. Every error names the file and its role. It must not know the
//! formats, which are in [`super::pem`] and [`super::token`].

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::read_file;

/// Maximum size of a file, far above any valid one. It bounds the read of a wrong path, such as a
/// device.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The role of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// A certificate, followed by the intermediate certificates.
    Certificate,
    /// The private key of that certificate.
    Key,
    /// Authorities trusted for the certificate of the other side.
    Authorities,
    /// Bearer tokens.
    Tokens,
}

impl fmt::Display for FileRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileRole::Certificate => "the certificate",
            FileRole::Key => "the private key",
            FileRole::Authorities => "the file of authorities",
            FileRole::Tokens => "the token file",
        })
    }
}

/// A file is unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{role} `{}`: {reason}", path.display())]
pub struct FileError {
    /// The role of the file.
    pub role: FileRole,
    /// Its path.
    pub path: PathBuf,
    /// Why it is unusable.
    pub reason: String,
}

/// A file and its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(super) role: FileRole,
    pub(super) path: PathBuf,
}

impl Source {
    pub(super) fn new(role: FileRole, path: impl AsRef<Path>) -> Source {
        Source {
            role,
            path: path.as_ref().into(),
        }
    }

    pub(super) fn error(&self, reason: impl ToString) -> FileError {
        FileError {
            role: self.role,
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }

    /// Reads the file at the start of a program. It may be a pipe: see [`read_file`].
    pub(super) fn read(&self) -> Result<Content, Unreadable> {
        self.content(read_file::read(&self.path, MAX_FILE_BYTES))
    }

    /// Reads the file again, if it is a regular one.
    pub(super) fn read_again(&self) -> Result<Content, Unreadable> {
        self.content(read_file::read_regular(&self.path, MAX_FILE_BYTES))
    }

    fn content(&self, bytes: io::Result<Vec<u8>>) -> Result<Content, Unreadable> {
        match bytes {
            Ok(bytes) => Ok(Content {
                source: self.clone(),
                bytes,
            }),
            Err(error) => Err(Unreadable {
                missing: error.kind() == io::ErrorKind::NotFound,
                error: self.error(error),
            }),
        }
    }

    /// Returns true for a pipe or a device, which is read only at the start.
    pub(super) fn is_irregular(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| !file.is_file())
    }
}

/// A file that cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) error: FileError,
    /// True if the file does not exist.
    pub(super) missing: bool,
}

impl From<Unreadable> for FileError {
    fn from(unreadable: Unreadable) -> FileError {
        unreadable.error
    }
}

/// The contents of a file.
pub(crate) struct Content {
    pub(super) source: Source,
    pub(super) bytes: Vec<u8>,
}

/// Returns true if the group or others have any permission on this file. For a secret, this
/// deserves a warning. Returns false if the permissions cannot be read.
pub fn readable_by_others(path: impl AsRef<Path>) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_and_its_role() {
        let unreadable = Source::new(FileRole::Key, "/no/such").read().err().unwrap();
        assert!(unreadable.missing);
        let text = unreadable.error.to_string();
        assert!(
            text.starts_with("the private key `/no/such`: No such file"),
            "{text}"
        );
    }

    #[test]
    fn a_device_is_not_read_for_ever() {
        let source = Source::new(FileRole::Key, "/dev/zero");
        let FileError { reason, .. } = source.read().err().unwrap().into();
        assert!(reason.contains("larger"), "{reason}");
    }

    #[test]
    fn permissions_beyond_the_owners_are_detected() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let allow = |mode| fs::set_permissions(file.path(), PermissionsExt::from_mode(mode));
        for (mode, open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            allow(mode).unwrap();
            assert_eq!(readable_by_others(file.path()), open, "{mode:o}");
        }
    }
}
