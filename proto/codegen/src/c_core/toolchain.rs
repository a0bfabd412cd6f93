//! Which toolchain file CMake gets from a build script of cargo, and whether it has the patches.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A toolchain file with one of these texts is ours or includes ours.
const MARKS: [&str; 2] = ["fanstream_patch_sources", "ccore.cmake"];

/// Whether this toolchain file applies the patches.
pub(super) fn has_patches(file: &Path) -> bool {
    fs::read_to_string(file).is_ok_and(|text| MARKS.iter().any(|mark| text.contains(mark)))
}

/// The variables that can name the toolchain file of a build for `target` on `host`. The first one
/// that is set counts, as in the crate `cmake`.
pub(super) fn variables(host: &str, target: &str) -> [String; 4] {
    let of = if host == target { "HOST" } else { "TARGET" };
    [
        format!("CMAKE_TOOLCHAIN_FILE_{target}"),
        format!("CMAKE_TOOLCHAIN_FILE_{}", target.replace('-', "_")),
        format!("{of}_CMAKE_TOOLCHAIN_FILE"),
        "CMAKE_TOOLCHAIN_FILE".into(),
    ]
}

/// The toolchain file; `None` without one.
pub(super) fn file(
    variables: &[String],
    value: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let file = variables.iter().find_map(|name| value(name))?;
    (!file.is_empty()).then(|| file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_patches_if_it_is_ours_or_includes_ours() {
        let directory = tempfile::tempdir().unwrap();
        let with = |text: &str| {
            let file = directory.path().join("toolchain.cmake");
            fs::write(&file, text).unwrap();
            has_patches(&file)
        };
        assert!(with("include(\"${CMAKE_CURRENT_LIST_DIR}/ccore.cmake\")\n"));
        assert!(!with("set(CMAKE_SYSTEM_NAME Linux)\n"));
        assert!(!has_patches(directory.path()));

        let scripts = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(has_patches(&scripts.join("ccore.cmake")));
    }

    #[test]
    fn the_first_variable_that_is_set_counts() {
        let names = variables("x86_64-a", "aarch64-b");
        let file = |set: &[(&str, &str)]| {
            let value = |name: &str| set.iter().find(|(set, _)| *set == name);
            file(&names, |name| value(name).map(|(_, value)| value.into()))
        };
        assert_eq!(file(&[]), None);
        let plain = ("CMAKE_TOOLCHAIN_FILE", "/plain");
        assert_eq!(file(&[plain]).unwrap(), Path::new("/plain"));
        assert_eq!(
            file(&[plain, ("HOST_CMAKE_TOOLCHAIN_FILE", "/host")]).unwrap(),
            Path::new("/plain")
        );
        let of_target = ("CMAKE_TOOLCHAIN_FILE_aarch64_b", "/target");
        assert_eq!(file(&[plain, of_target]).unwrap(), Path::new("/target"));
        assert_eq!(file(&[plain, ("TARGET_CMAKE_TOOLCHAIN_FILE", "")]), None);
    }
}
