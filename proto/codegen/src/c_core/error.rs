//! The error of `patch`, with all of its messages.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// The package cannot get the patches.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// cargo does not tell the package's directories, for example because there is no package.
    #[error("{}: `cargo metadata`: {reason}", directory.display())]
    Cargo {
        /// The directory where cargo was asked.
        directory: PathBuf,
        /// cargo's message.
        reason: String,
    },
    /// The configuration has another toolchain file, which does not include ours.
    #[error(
        "{}, line {line}: CMAKE_TOOLCHAIN_FILE is `{file}` already. Add this line to that file, and \
         try again: include({:?})", config.display(), ours
    )]
    OtherToolchain {
        /// cargo's configuration.
        config: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The other toolchain file.
        file: String,
        /// Our toolchain file.
        ours: PathBuf,
    },
    /// The variables of the configuration are not in a table `[env]`, the only form that is edited.
    #[error(
        "{}, line {line}: `env` is not written as a table: write `[env]`, with a line for each \
         variable, and try again", config.display()
    )]
    NoTable {
        /// cargo's configuration.
        config: PathBuf,
        /// The number of the line, from 1.
        line: usize,
    },
    /// A file cannot be read, written or removed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// As [`crate::Error`]: for a `main` that returns it.
impl fmt::Debug for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PatchError {
    pub(super) fn io(path: &Path, source: io::Error) -> PatchError {
        PatchError::Io {
            path: path.into(),
            source,
        }
    }
}
