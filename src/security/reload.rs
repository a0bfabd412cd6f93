//! Values that are read from files and follow their changes, and the thread that polls the files. It
//! must not know what the values are for.
//!
//! Each poll reads the contents. The files are small, and symbolic links that are swapped
//! (Kubernetes), copies that keep their date and coarse clocks all change the contents.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{bounded, RecvTimeoutError, Sender};
use openssl::sha::{sha256, Sha256};

use super::files::{Content, FileError, Source, Unreadable};

/// Interval between two polls of the files.
const INTERVAL: Duration = Duration::from_millis(500);

/// The files' contents, in the order of the sources.
pub(super) type Contents = Result<Vec<Content>, Unreadable>;

type Parse<T> = Box<dyn Fn(Contents) -> Result<T, FileError> + Send + Sync>;

/// A value that is parsed from files, and the last one that was usable.
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
    /// What the value was last parsed from.
    parsed: Digest,
    /// What the last poll read.
    last: Digest,
}

impl<T> Reloadable<T> {
    /// Reads the files, which blocks, and parses a value. `reparse` is used after each change; it
    /// also gets what cannot be read.
    ///
    /// # Errors
    /// When a file cannot be read, or `parse` fails.
    pub(super) fn load(
        sources: Vec<Source>,
        parse: impl FnOnce(Vec<Content>) -> Result<T, FileError>,
        reparse: impl Fn(Contents) -> Result<T, FileError> + Send + Sync + 'static,
    ) -> Result<Arc<Reloadable<T>>, FileError> {
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

    /// The current value. Never blocks for long: it reads no file.
    pub(super) fn value(&self) -> Arc<T> {
        let value = self.value.read();
        value.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files, and parses a new value once two polls agree on a change: a writer of two
    /// files, or of a long one, is not done after the first write. A change that cannot be used
    /// keeps the value and is an error once. `None` without a change.
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

/// Covers errors too: a file that can no longer be read has changed.
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

/// The thread that polls, until this is dropped.
pub(crate) struct Watcher {
    _stop: Option<Sender<()>>,
}

impl Watcher {
    /// Starts the thread, if there is anything to poll.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn start(watched: Vec<Arc<dyn Poll>>) -> io::Result<Watcher> {
        if watched.is_empty() {
            return Ok(Watcher { _stop: None });
        }
        let (stop, stopped) = bounded(0);
        // Not joined: a file system that hangs must not hold up a shutdown.
        thread::Builder::new()
            .name("fanstream-files".into())
            .spawn(move || {
                while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
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
