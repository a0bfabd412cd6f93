//! Opens files of one directory, and none outside it. It must not read them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{open, openat, openat2, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::Status;

/// Attempts to open a file while others rename files: the system gives up when it cannot tell whether
/// a path has left the directory.
const ATTEMPTS: u32 = 16;

/// A directory. Its name is looked up for each file, so that another directory can take its place.
#[derive(Clone, Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// # Errors
    /// It cannot be opened, or is not a directory.
    pub(super) fn new(path: &Path) -> io::Result<Directory> {
        let directory = Directory(path.into());
        directory.open_itself()?;
        Ok(directory)
    }

    /// Opens a regular file of it; `None` if there is none of this name. A symbolic link is followed
    /// while it stays in the directory. Never waits for a FIFO.
    ///
    /// # Errors
    /// The system's, as a status.
    pub(super) fn open(&self, name: &str) -> Result<Option<File>, Status> {
        if name.is_empty() || name.contains(['/', '\0']) || [".", ".."].contains(&name) {
            return Ok(None);
        }
        let directory = self.open_itself()?;
        match beneath(&directory, name) {
            Ok(file) => {
                let is_file = file.metadata()?.is_file();
                Ok(is_file.then_some(file))
            }
            Err(Errno::NOENT) => Ok(None),
            // A link that leads out of the directory, or in circles; or a socket.
            Err(Errno::XDEV | Errno::LOOP | Errno::NXIO) => {
                let directory = self.0.display();
                tracing::warn!("`{name}` is not served: it is not a file of `{directory}`");
                Ok(None)
            }
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    fn open_itself(&self) -> io::Result<File> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(open(&self.0, flags, Mode::empty())?.into())
    }
}

fn beneath(directory: &File, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..ATTEMPTS {
        match openat2(directory, name, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Linux before 5.6, or a sandbox. Without links a name cannot leave.
            Err(Errno::NOSYS | Errno::PERM) => {
                return openat(directory, name, flags | OFlags::NOFOLLOW, Mode::empty())
                    .map(File::from);
            }
            opened => return opened.map(File::from),
        }
    }
    Err(Errno::AGAIN)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use rustix::fs::{mknodat, FileType, CWD};

    use super::*;

    #[test]
    fn only_regular_files_within_are_opened() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir_all(inner.join("5")).unwrap();
        fs::write(outer.path().join("secret"), "secret").unwrap();
        fs::write(inner.join("1"), "one").unwrap();
        symlink("1", inner.join("2")).unwrap();
        symlink("../secret", inner.join("3")).unwrap();
        symlink(outer.path().join("secret"), inner.join("4")).unwrap();
        mknodat(CWD, inner.join("6"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        symlink("8", inner.join("7")).unwrap();
        symlink("7", inner.join("8")).unwrap();
        symlink("/proc/self/fd/0", inner.join("9")).unwrap();
        let directory = Directory::new(&inner).unwrap();
        let content = |name: &str| {
            let mut text = String::new();
            let mut file = directory.open(name).unwrap()?;
            file.read_to_string(&mut text).unwrap();
            Some(text)
        };
        assert_eq!(content("1").as_deref(), Some("one"));
        assert_eq!(content("2").as_deref(), Some("one"), "a link within");
        for name in [
            "3",
            "4",
            "5",
            "6",
            "7",
            "9",
            "10",
            "",
            ".",
            "..",
            "../secret",
            "./1",
        ] {
            assert_eq!(content(name), None, "{name}");
        }
    }

    #[test]
    fn a_file_is_not_a_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [file.path(), Path::new("/no/such")] {
            assert!(Directory::new(path).is_err());
        }
    }
}
