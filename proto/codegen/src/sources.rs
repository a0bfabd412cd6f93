//! Maps proto files to protoc's names for them and back, through the include directories. It must
//! not know the content of the files.

use std::cmp::Reverse;
use std::path::{absolute, Path, PathBuf};

use crate::Error;

pub(crate) struct Sources {
    /// Absolute, the deepest first: with `proto` and `proto/vendor`, the name of a file in
    /// `proto/vendor` is relative to that directory.
    includes: Vec<PathBuf>,
}

impl Sources {
    /// Without `includes`, uses the directories of `files`.
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

    /// Returns protoc's names of `files`, each relative to its include directory.
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

    /// Returns the file that protoc reads for `name`, or `None` for a file that comes with protoc.
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
