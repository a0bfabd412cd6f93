//! Reloads values when their files change: a thread polls the files. It must not know the use of
//! the values.
//!
//! Each poll reads the contents, since the files are small. Time stamps would miss swapped symbolic
//! links (Kubernetes), copies that keep their date, and changes within a coarse clock's tick.
//!
//! | contents | result of a poll |
//! | --- | --- |
//! | differ from the last poll | waits for the next poll, since a writer may still be writing |
//! | same as the last poll, and as the last parse | none |
//! | same as the last poll, new, usable | the new value replaces the old one |
//! | same as the last poll, new, unusable | reported once; the old value stays |

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{bounded, RecvTimeoutError, Sender};
use openssl::sha::{sha256, Sha256};

use super::files::{Content, FileError, Source, Unreadable};
use super::init_openssl;

/// Interval between two polls of the files.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Contents of the files, in the order of the sources.
pub(super) type Contents = Result<Vec<Content>, Unreadable>;

type Parse<T> = Box<dyn Fn(Contents) -> Result<T, FileError> + Send + Sync>;

/// A value parsed from files: the last usable one.
pub(crate) struct Reloadable<T> {
    sources: Vec<Source>,
    reparse: Parse<T>,
    value: RwLock<Arc<T>>,
    polls: Mutex<Polls>,
}

/// A hash of the contents.
#[derive(Clone, PartialEq, Eq)]
struct Digest([u8; 32]);

struct Polls {
    /// Contents of the last parse.
    parsed: Digest,
    /// Contents of the last poll.
    last: Digest,
}

impl<T> Reloadable<T> {
    /// Reads the files and parses a value. After each change, `reparse` gets the new contents, or
    /// the error of a file that cannot be read. Blocks while the files are read.
    ///
    /// # Errors
    /// If a file cannot be read, or `parse` fails.
    pub(super) fn load(
        sources: Vec<Source>,
        parse: impl FnOnce(Vec<Content>) -> Result<T, FileError>,
        reparse: impl Fn(Contents) -> Result<T, FileError> + Send + Sync + 'static,
    ) -> Result<Arc<Reloadable<T>>, FileError> {
        init_openssl();
        let contents = read(&sources);
        let digest = digest(&contents);
        let value = parse(contents?)?;
        Ok(Arc::new(Reloadable {
            sources,
            reparse: Box::new(reparse),
            value: RwLock::new(Arc::new(value)),
            polls: Mutex::new(Polls {
                last: digest.clone(),
                parsed: digest,
            }),
        }))
    }

    /// Returns the current value. Reads no file, and never blocks for long.
    pub(super) fn value(&self) -> Arc<T> {
        let value = self.value.read();
        value.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Polls the files once: see the table above. Returns `None` without a change. Blocks while the
    /// files are read.
    fn poll(&self) -> Option<Result<(), FileError>> {
        let contents = read(&self.sources);
        let digest = digest(&contents);
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = digest == polls.last;
        polls.last = digest.clone();
        if !settled || digest == polls.parsed {
            return None;
        }
        polls.parsed = digest;
        drop(polls);
        Some((self.reparse)(contents).map(|value| {
            let mut current = self.value.write().unwrap_or_else(PoisonError::into_inner);
            *current = Arc::new(value);
        }))
    }
}

fn read(sources: &[Source]) -> Contents {
    sources.iter().map(Source::read).collect()
}

/// Includes errors, because a file that can no longer be read has changed.
fn digest(contents: &Contents) -> Digest {
    match contents {
        Err(error) => Digest(sha256(error.error.to_string().as_bytes())),
        Ok(contents) => {
            let mut all = Sha256::new();
            for content in contents {
                all.update(&sha256(&content.bytes));
            }
            Digest(all.finish())
        }
    }
}

/// Something that is polled periodically.
pub(crate) trait Poll: Send + Sync {
    /// Polls once, and logs the outcome. May block.
    fn poll(&self);
}

impl<T: Send + Sync> Poll for Reloadable<T> {
    fn poll(&self) {
        let files = || {
            let roles: Vec<_> = self.sources.iter().map(|s| s.role.to_string()).collect();
            roles.join(", ")
        };
        match Reloadable::poll(self) {
            None => {}
            Some(Ok(())) => tracing::info!("reloaded {}", files()),
            Some(Err(error)) => tracing::error!("{error}; the last usable version stays in use"),
        }
    }
}

/// The polling thread. Dropping this ends it.
pub(crate) struct Watcher {
    _stop: Option<Sender<()>>,
}

impl Watcher {
    /// Starts the thread, unless `watched` is empty.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start(watched: Vec<Arc<dyn Poll>>) -> io::Result<Watcher> {
        if watched.is_empty() {
            return Ok(Watcher { _stop: None });
        }
        let (stop, stopped) = bounded(0);
        // Never joined, so that a hanging file system does not delay a shutdown.
        thread::Builder::new()
            .name("fanstream-files".into())
            .spawn(move || {
                while stopped.recv_timeout(POLL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    watched.iter().for_each(|one| one.poll());
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

    /// A file that contains a number.
    fn number(path: &std::path::Path) -> Result<Arc<Reloadable<i32>>, FileError> {
        fn parse(contents: Vec<Content>) -> Result<i32, FileError> {
            let text = String::from_utf8_lossy(&contents[0].bytes).into_owned();
            text.parse()
                .map_err(|_| contents[0].source.error("no number"))
        }
        let source = Source::new(FileRole::Key, path);
        Reloadable::load(vec![source], parse, |contents| parse(contents?))
    }

    #[test]
    fn a_change_is_loaded_once_two_polls_agree() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "1").unwrap();
        let value = number(file.path()).unwrap();
        assert_eq!(value.poll(), None);
        fs::write(file.path(), "2").unwrap();
        assert_eq!((value.poll(), *value.value()), (None, 1));
        fs::write(file.path(), "23").unwrap();
        assert_eq!((value.poll(), *value.value()), (None, 1));
        assert_eq!((value.poll(), *value.value()), (Some(Ok(())), 23));
        assert_eq!((value.poll(), *value.value()), (None, 23));
    }

    #[test]
    fn an_unusable_change_is_reported_once_and_keeps_the_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "1").unwrap();
        let value = number(file.path()).unwrap();
        let four_polls = || (0..4).filter_map(|_| value.poll()).collect::<Vec<_>>();
        fs::write(file.path(), "x").unwrap();
        let outcomes = four_polls();
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes[0].as_ref().unwrap_err().reason, "no number");
        assert_eq!(*value.value(), 1);
        fs::remove_file(file.path()).unwrap();
        let outcomes = four_polls();
        assert_eq!(outcomes.len(), 1);
        assert!(outcomes[0].is_err());
        fs::write(file.path(), "2").unwrap();
        assert_eq!((four_polls(), *value.value()), (vec![Ok(())], 2));
    }

    #[test]
    fn an_unusable_file_at_first_is_an_error() {
        assert!(number("/no/such".as_ref()).is_err());
    }
}
