//! Values that are parsed from files, and parsed again when the files change. It must not know the
//! use of the values, nor when the files are looked at: that is [`super::watch`].
//!
//! Each look reads the contents, since the files are small. Time stamps would miss swapped symbolic
//! links (Kubernetes), copies that keep their date, and changes within a coarse clock's tick.
//!
//! | contents | result of a look |
//! | --- | --- |
//! | differ from the last look | waits for the next look, since a writer may still be writing |
//! | same as the last look, and as the last parse | none |
//! | same as the last look, new, usable | the new value replaces the old one |
//! | same as the last look, new, unusable | reported once; the old value stays |
//!
//! A file that is not regular, such as a FIFO, counts as unusable. A look on demand does not wait
//! for the next one, and reports an unusable file again.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use openssl::sha::{sha256, Sha256};

use super::files::{Content, FileError, Source, Unreadable};
use super::init_openssl;
use super::watch::{Group, Outcome};

/// Contents of the files, in the order of the sources.
pub(super) type Contents = Result<Vec<Content>, Unreadable>;

type Parse<T> = Box<dyn Fn(Contents) -> Result<T, FileError> + Send + Sync>;

/// A value parsed from files: the last usable one.
pub(crate) struct Reloadable<T> {
    sources: Vec<Source>,
    reparse: Parse<T>,
    value: RwLock<Arc<T>>,
    looks: Mutex<Looks>,
}

/// A hash of the contents.
#[derive(Clone, PartialEq, Eq)]
struct Digest([u8; 32]);

struct Looks {
    /// Contents of the last parse.
    parsed: Digest,
    /// Why the last parse failed.
    failure: Option<FileError>,
    /// Contents of the last look.
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
        let contents: Contents = sources.iter().map(Source::read).collect();
        let irregular = sources.iter().find(|source| source.is_irregular());
        let first = match irregular {
            // What each look will find.
            Some(_) => digest(&read_again(&sources)),
            None => digest(&contents),
        };
        let value = parse(contents?)?;
        if let Some(source) = irregular {
            tracing::info!(
                "{}",
                source.error("it is not a regular file, so it is not reloaded")
            );
        }
        Ok(Arc::new(Reloadable {
            sources,
            reparse: Box::new(reparse),
            value: RwLock::new(Arc::new(value)),
            looks: Mutex::new(Looks {
                parsed: first.clone(),
                failure: None,
                last: first,
            }),
        }))
    }

    /// Returns the current value. Reads no file, and never blocks for long.
    pub(super) fn value(&self) -> Arc<T> {
        let value = self.value.read();
        value.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T: Send + Sync> Group for Reloadable<T> {
    fn name(&self) -> String {
        let roles: Vec<_> = self.sources.iter().map(|s| s.role.to_string()).collect();
        roles.join(", ")
    }

    fn look(&self, on_demand: bool) -> Outcome {
        let contents = read_again(&self.sources);
        let digest = digest(&contents);
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = on_demand || digest == looks.last;
        looks.last = digest.clone();
        if !settled || digest == looks.parsed {
            let known = looks.failure.clone().filter(|_| on_demand);
            return known.map_or(Outcome::Unchanged, Outcome::Unusable);
        }
        looks.parsed = digest;
        match (self.reparse)(contents) {
            Ok(value) => {
                looks.failure = None;
                let mut current = self.value.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(value);
                Outcome::Reloaded
            }
            Err(error) => {
                looks.failure = Some(error.clone());
                Outcome::Unusable(error)
            }
        }
    }
}

fn read_again(sources: &[Source]) -> Contents {
    sources.iter().map(Source::read_again).collect()
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::process::Command;

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

    fn later(value: &Reloadable<i32>) -> (Outcome, i32) {
        (value.look(false), *value.value())
    }

    #[test]
    fn a_change_is_loaded_once_two_looks_agree() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "1").unwrap();
        let value = number(file.path()).unwrap();
        assert_eq!(later(&value), (Outcome::Unchanged, 1));
        fs::write(file.path(), "2").unwrap();
        assert_eq!(later(&value), (Outcome::Unchanged, 1));
        fs::write(file.path(), "23").unwrap();
        assert_eq!(later(&value), (Outcome::Unchanged, 1));
        assert_eq!(later(&value), (Outcome::Reloaded, 23));
        assert_eq!(later(&value), (Outcome::Unchanged, 23));
    }

    #[test]
    fn an_unusable_change_is_reported_once_and_keeps_the_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "1").unwrap();
        let value = number(file.path()).unwrap();
        fs::write(file.path(), "x").unwrap();
        assert_eq!(four_looks(&value), ["no number"]);
        assert_eq!(*value.value(), 1);
        fs::remove_file(file.path()).unwrap();
        assert_eq!(
            four_looks(&value),
            ["No such file or directory (os error 2)"]
        );
        fs::write(file.path(), "2").unwrap();
        assert_eq!(
            (four_looks(&value), *value.value()),
            (vec!["reloaded".into()], 2)
        );
    }

    /// What four looks report.
    fn four_looks(value: &Reloadable<i32>) -> Vec<String> {
        let outcomes = (0..4).map(|_| value.look(false));
        outcomes
            .filter_map(|outcome| match outcome {
                Outcome::Unchanged => None,
                Outcome::Reloaded => Some("reloaded".into()),
                Outcome::Unusable(error) => Some(error.reason),
            })
            .collect()
    }

    #[test]
    fn a_look_on_demand_loads_at_once_and_repeats_a_failure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "1").unwrap();
        let value = number(file.path()).unwrap();
        assert_eq!(value.look(true), Outcome::Unchanged);
        fs::write(file.path(), "2").unwrap();
        assert_eq!((value.look(true), *value.value()), (Outcome::Reloaded, 2));
        fs::write(file.path(), "x").unwrap();
        for _ in 0..2 {
            assert!(matches!(value.look(true), Outcome::Unusable(_)));
        }
        assert_eq!(later(&value), (Outcome::Unchanged, 2));
    }

    #[test]
    fn a_fifo_in_place_of_the_file_is_reported_once_and_keeps_the_value() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        fs::write(&path, "1").unwrap();
        let value = number(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let reported = four_looks(&value);
        assert_eq!(reported.len(), 1, "{reported:?}");
        assert!(reported[0].contains("not a regular file"), "{reported:?}");
        assert_eq!(*value.value(), 1);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1").unwrap();
        assert_eq!(four_looks(&value), ["reloaded"]);
    }

    #[test]
    fn a_pipe_is_read_at_the_start_only() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"1").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let value = number(path.as_ref()).unwrap();
        assert_eq!((four_looks(&value), *value.value()), (vec![], 1));
        assert_eq!(value.look(true), Outcome::Unchanged);
    }

    #[test]
    fn an_unusable_file_at_first_is_an_error() {
        assert!(number("/no/such".as_ref()).is_err());
    }
}
