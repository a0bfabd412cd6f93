//! Where protos are: the include directories, the names that protoc gives to files in them, and back. It knows nothing
//! of what is in the files.

use std::cmp::Reverse;
use std::path::{absolute, Path, PathBuf};

use crate::Error;

pub(crate) struct Sources {
    /// Absolute, the deepest first: with `proto` and `proto/vendor`, a file in the second is named after that one.
    includes: Vec<PathBuf>,
}

impl Sources {
    /// The directories of `files` when there are no `includes`.
    pub(crate) fn new<'a>(
        includes: &[PathBuf],
        files: impl Iterator<Item = &'a PathBuf>,
    ) -> Result<Sources, Error> {
        let includes: Result<Vec<PathBuf>, Error> = if includes.is_empty() {
            files
                .filter_map(|file| directory(file).transpose())
                .collect()
        } else {
            includes.iter().map(|path| absolute_path(path)).collect()
        };
        let mut includes = includes?;
        includes.sort_by_key(|path| Reverse(path.components().count()));
        includes.dedup();
        Ok(Sources { includes })
    }

    pub(crate) fn includes(&self) -> &[PathBuf] {
        &self.includes
    }

    /// protoc's names of `files`, each relative to its include directory.
    pub(crate) fn names(&self, files: &[PathBuf]) -> Result<Vec<String>, Error> {
        files.iter().map(|file| self.name(file)).collect()
    }

    fn name(&self, file: &Path) -> Result<String, Error> {
        let path = absolute_path(file)?;
        let name = if path.is_file() {
            let name = |include: &PathBuf| path.strip_prefix(include).ok().map(Path::to_path_buf);
            self.includes
                .iter()
                .find_map(name)
                .ok_or_else(|| Error::NotIncluded {
                    file: file.into(),
                    includes: self.includes.clone(),
                })?
        } else if self
            .includes
            .iter()
            .any(|include| include.join(file).is_file())
        {
            file.to_path_buf()
        } else {
            return Err(Error::NotFound {
                file: file.into(),
                includes: self.includes.clone(),
            });
        };
        Ok(name.to_string_lossy().into_owned())
    }

    /// The file that protoc reads for `name`; `None` for those that come with protoc.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        let mut paths = self.includes.iter().map(|include| include.join(name));
        paths.find(|path| path.is_file())
    }
}

fn directory(file: &Path) -> Result<Option<PathBuf>, Error> {
    Ok(absolute_path(file)?.parent().map(Path::to_path_buf))
}

fn absolute_path(path: &Path) -> Result<PathBuf, Error> {
    absolute(path).map_err(|source| Error::io(path, source))
}
