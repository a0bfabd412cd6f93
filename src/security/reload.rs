//! Files that may change while a server runs: what was read from them last, and the thread that
//! looks at them. It must not know what they are for.
//!
//! It reads the contents each time: they are small, and neither symbolic links that are swapped
//! (Kubernetes), nor copies that keep their date, nor coarse clocks can fool that.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{bounded, RecvTimeoutError, Sender};
use openssl::sha::{sha256, Sha256};

use super::files::{Content, FileError, Source};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_millis(500);

type Parse<T> = Box<dyn Fn(Vec<Content>) -> Result<T, FileError> + Send + Sync>;

/// What some files say; always the last that could be used.
pub(crate) struct Kept<T> {
    sources: Vec<Source>,
    parse: Parse<T>,
    value: RwLock<Arc<T>>,
    looks: Mutex<Looks>,
}

/// What was found, in short.
#[derive(Clone, PartialEq, Eq)]
struct Digest([u8; 32]);

struct Looks {
    /// What was found when the files were last parsed.
    parsed: Digest,
    /// What was found last.
    last: Digest,
}

impl<T> Kept<T> {
    /// Blocks while the files are read.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(super) fn load(
        sources: Vec<Source>,
        parse: impl Fn(Vec<Content>) -> Result<T, FileError> + Send + Sync + 'static,
    ) -> Result<Arc<Kept<T>>, FileError> {
        let found = read(&sources);
        let digest = digest(&found);
        let value = found.and_then(&parse)?;
        Ok(Arc::new(Kept {
            sources,
            parse: Box::new(parse),
            value: RwLock::new(Arc::new(value)),
            looks: Mutex::new(Looks {
                last: digest.clone(),
                parsed: digest,
            }),
        }))
    }

    /// What is to be used now. Never blocks for long: nothing is read here.
    pub(super) fn value(&self) -> Arc<T> {
        let value = self.value.read();
        value.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at the files, and takes what is new in them. `None` when there is nothing new.
    ///
    /// New is what looks the same twice: whoever writes two files, or a long one, is not done after
    /// the first. What cannot be used is reported once.
    fn look(&self) -> Option<Result<(), FileError>> {
        let found = read(&self.sources);
        let digest = digest(&found);
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = digest == looks.last;
        looks.last = digest.clone();
        if !settled || digest == looks.parsed {
            return None;
        }
        looks.parsed = digest;
        drop(looks);
        Some(found.and_then(&self.parse).map(|value| {
            let mut current = self.value.write().unwrap_or_else(PoisonError::into_inner);
            *current = Arc::new(value);
        }))
    }
}

fn read(sources: &[Source]) -> Result<Vec<Content>, FileError> {
    sources.iter().map(Source::read).collect()
}

/// Of contents and of errors: a file that cannot be read is a change as well.
fn digest(found: &Result<Vec<Content>, FileError>) -> Digest {
    match found {
        Err(error) => Digest(sha256(error.to_string().as_bytes())),
        Ok(contents) => {
            let mut all = Sha256::new();
            for content in contents {
                all.update(&sha256(&content.bytes));
            }
            Digest(all.finish())
        }
    }
}

/// Something that is looked at again and again.
pub(crate) trait Look: Send + Sync {
    /// Looks once, and logs what came of it. May block.
    fn look(&self);
}

impl<T: Send + Sync> Look for Kept<T> {
    fn look(&self) {
        let files = || {
            let roles: Vec<_> = self.sources.iter().map(|s| s.role.to_string()).collect();
            roles.join(", ")
        };
        match Kept::look(self) {
            None => {}
            Some(Ok(())) => tracing::info!("read anew: {}", files()),
            Some(Err(error)) => tracing::warn!("{error}; what was read before stays in use"),
        }
    }
}

/// The thread that looks, until this is dropped.
pub(crate) struct Watcher {
    _stop: Option<Sender<()>>,
}

impl Watcher {
    /// Starts the thread, if there is anything to look at.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(watched: Vec<Arc<dyn Look>>) -> io::Result<Watcher> {
        if watched.is_empty() {
            return Ok(Watcher { _stop: None });
        }
        let (stop, stopped) = bounded(0);
        // Not joined: a file system that hangs must not hold up whoever stops.
        thread::Builder::new()
            .name("fanstream-files".into())
            .spawn(move || {
                while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                    watched.iter().for_each(|one| one.look());
                }
            })?;
        Ok(Watcher { _stop: Some(stop) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::files::FileRole;
    use super::*;

    /// A file with a number in it.
    fn number(path: &std::path::Path) -> Result<Arc<Kept<i32>>, FileError> {
        Kept::load(vec![Source::new(FileRole::Key, path)], |contents| {
            let text = String::from_utf8_lossy(&contents[0].bytes).into_owned();
            text.parse()
                .map_err(|_| contents[0].source.error("no number"))
        })
    }

    #[test]
    fn a_change_counts_when_it_looks_the_same_twice() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "1").unwrap();
        let kept = number(file.path()).unwrap();
        assert_eq!(kept.look(), None);
        fs::write(file.path(), "2").unwrap();
        assert_eq!((kept.look(), *kept.value()), (None, 1));
        fs::write(file.path(), "23").unwrap();
        assert_eq!((kept.look(), *kept.value()), (None, 1));
        assert_eq!((kept.look(), *kept.value()), (Some(Ok(())), 23));
        assert_eq!((kept.look(), *kept.value()), (None, 23));
    }

    #[test]
    fn what_cannot_be_used_is_said_once_and_changes_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "1").unwrap();
        let kept = number(file.path()).unwrap();
        fs::write(file.path(), "x").unwrap();
        let said: Vec<_> = (0..4).filter_map(|_| kept.look()).collect();
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].as_ref().unwrap_err().reason, "no number");
        assert_eq!(*kept.value(), 1);
        fs::remove_file(file.path()).unwrap();
        let said: Vec<_> = (0..4).filter_map(|_| kept.look()).collect();
        assert_eq!(said.len(), 1);
        assert!(said[0].is_err());
        fs::write(file.path(), "2").unwrap();
        let said: Vec<_> = (0..4).filter_map(|_| kept.look()).collect();
        assert_eq!((said, *kept.value()), (vec![Ok(())], 2));
    }

    #[test]
    fn what_cannot_be_used_at_first_is_an_error() {
        assert!(number("/no/such".as_ref()).is_err());
    }
}
