//! The toolchain file and the patches, as this package carries them, and their copies in another
//! package.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use super::PatchError;

/// Names, relative to the directory of the toolchain file, and contents. `build.rs` lists them.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/c_core_files.rs"));

/// The directory of the patches, of which the toolchain file applies every one.
const PATCHES: &str = "ccore";

/// The directory of the patches in `directory`.
pub(super) fn patches(directory: &Path) -> PathBuf {
    directory.join(PATCHES)
}

/// Makes `directory` have these files, and no other patches. Returns the names of the files that
/// it has written or removed.
pub(super) fn write(directory: &Path) -> Result<Vec<String>, PatchError> {
    let patches = patches(directory);
    fs::create_dir_all(&patches).map_err(|source| PatchError::io(&patches, source))?;
    let mut changed = Vec::new();
    for (name, content) in FILES {
        let path = directory.join(name);
        if !has(&path, content) {
            fs::write(&path, content).map_err(|source| PatchError::io(&path, source))?;
            changed.push(name.to_string());
        }
    }
    for name in others(directory).map_err(|source| PatchError::io(&patches, source))? {
        let path = directory.join(&name);
        fs::remove_file(&path).map_err(|source| PatchError::io(&path, source))?;
        changed.push(name);
    }
    Ok(changed)
}

/// Whether `directory` has these files, and no other patches.
pub(super) fn are_in(directory: &Path) -> bool {
    let has_all = FILES
        .iter()
        .all(|(name, content)| has(&directory.join(name), content));
    has_all && others(directory).is_ok_and(|others| others.is_empty())
}

/// The time of the last change of a file in `directory`; `None` if one has no such time.
pub(super) fn changed_at(directory: &Path) -> Option<SystemTime> {
    let times = FILES
        .iter()
        .map(|(name, _)| modified(&directory.join(name)));
    times.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// The time of the last change of a file or a directory.
pub(super) fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

fn has(path: &Path, content: &[u8]) -> bool {
    fs::read(path).is_ok_and(|found| found == content)
}

/// The names of patches that are not ours, such as those of an older version.
fn others(directory: &Path) -> io::Result<Vec<String>> {
    let mut others = Vec::new();
    for entry in fs::read_dir(patches(directory))? {
        let name = format!("{PATCHES}/{}", entry?.file_name().to_string_lossy());
        if name.ends_with(".patch") && FILES.iter().all(|(ours, _)| *ours != name) {
            others.push(name);
        }
    }
    Ok(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_carries_the_toolchain_file_and_every_patch() {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR"));
        let patches = fs::read_dir(scripts.join(PATCHES)).unwrap();
        assert_eq!(FILES.len(), patches.count() + 1);
        assert!(are_in(scripts));
        assert!(FILES
            .iter()
            .any(|(name, _)| *name == "ccore/originals.sha256"));
    }

    #[test]
    fn only_what_differs_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().join("new");
        assert!(!are_in(&here));
        assert_eq!(write(&here).unwrap().len(), FILES.len());
        assert!(are_in(&here));
        assert_eq!(write(&here).unwrap(), [""; 0]);

        fs::write(here.join("ccore.cmake"), "changed").unwrap();
        fs::write(here.join("ccore/0000-old.patch"), "").unwrap();
        assert!(!are_in(&here));
        assert_eq!(
            write(&here).unwrap(),
            ["ccore.cmake", "ccore/0000-old.patch"]
        );
        assert!(are_in(&here));
    }

    #[test]
    fn errors_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write(&file).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{}/ccore: ", file.display())),
            "{error}"
        );
    }
}
