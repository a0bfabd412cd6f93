//! The error of the generator, with all of its messages. It must not know protoc.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The code cannot be generated.
///
/// `Debug` prints the message, because a build script whose `main` returns an error prints its
/// `Debug` text.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is neither in the package nor in an include directory.
    #[error("{}: no such file, neither here nor in {}", file.display(), list(includes))]
    NotFound {
        /// The path as given.
        file: PathBuf,
        /// The include directories.
        includes: Vec<PathBuf>,
    },
    /// The file is outside the include directories, so protoc has no name for it.
    #[error("{}: in none of the include directories {}", file.display(), list(includes))]
    NotIncluded {
        /// The path as given.
        file: PathBuf,
        /// The include directories.
        includes: Vec<PathBuf>,
    },
    /// protoc refused a file.
    #[error("protoc: {message}")]
    Protoc {
        /// protoc's message, which begins with the file and the line.
        message: String,
    },
    /// Two files have the same module name.
    #[error(
        "{first} and {second} would both be the module `{module}`: rename one, or only describe it"
    )]
    SameModule {
        /// The module's name.
        module: String,
        /// A file.
        first: String,
        /// The other file.
        second: String,
    },
    /// A service has no methods. The code generator does not support that.
    #[error("{file}: service {service} has no methods")]
    EmptyService {
        /// The file of the service.
        file: String,
        /// The service's name.
        service: String,
    },
    /// The code generator failed.
    #[error("{files}: {message}")]
    Generator {
        /// The files to generate from.
        files: String,
        /// Its message.
        message: String,
    },
    /// No protoc is available for this platform.
    #[error("no protoc for this platform: {0}")]
    Platform(String),
    /// A file cannot be read or written, or protoc cannot be run.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The environment variable `OUT_DIR`, which cargo sets for build scripts, is missing.
    #[error("OUT_DIR is not set: is this a build script?")]
    NoOutDir,
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Error {
        Error::Io {
            path: path.into(),
            source,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let names = paths.iter().map(|path| path.display().to_string());
    names.collect::<Vec<_>>().join(", ")
}
