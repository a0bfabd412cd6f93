//! What cargo has compiled of the C-core, in its build directory. cargo watches neither the
//! toolchain file nor the patches, so it would keep a C-core that was compiled without them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{files, PatchError};

/// The directory that the toolchain file makes anew when it applies the patches. It is relative to
/// that of the build script's run.
const APPLIED: &str = "out/build/fanstream/fresh";

/// Removes each C-core that was not compiled with the patches in `patches`, or before their last
/// change, so that cargo compiles it again. Returns the directories.
pub(super) fn remove_outdated(
    build_directory: &Path,
    patches: &Path,
) -> Result<Vec<PathBuf>, PatchError> {
    let changed_at = files::changed_at(patches);
    let mut outdated = runs(build_directory);
    outdated.retain(|run| is_outdated(run, changed_at));
    for run in &outdated {
        // First cargo's record of the run: then it compiles again whatever else remains.
        if let Some(record) = record(run) {
            remove(&record)?;
        }
        remove(run)?;
    }
    Ok(outdated)
}

/// The directories of all runs of grpcio-sys's build script: `PROFILE/build/grpcio-sys-HASH`, and
/// the same in the directory of a target. The directory of the compiled script has no `out`.
fn runs(build_directory: &Path) -> Vec<PathBuf> {
    let mut profiles = subdirectories(build_directory);
    let of_targets = profiles.iter().flat_map(|target| subdirectories(target));
    profiles.extend(of_targets.collect::<Vec<_>>());
    let builds = profiles
        .iter()
        .flat_map(|profile| subdirectories(&profile.join("build")));
    builds
        .filter(|build| is_grpcio_sys(build) && build.join("out").is_dir())
        .collect()
}

fn is_grpcio_sys(build: &Path) -> bool {
    let name = build.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with("grpcio-sys-")
}

/// The subdirectories of `directory`; none if nothing was built there.
fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.is_dir()).collect()
}

fn is_outdated(run: &Path, changed_at: Option<SystemTime>) -> bool {
    let applied_at = files::modified(&run.join(APPLIED));
    applied_at.is_none() || applied_at < changed_at
}

/// cargo's record of a run.
fn record(run: &Path) -> Option<PathBuf> {
    let profile = run.parent()?.parent()?;
    Some(profile.join(".fingerprint").join(run.file_name()?))
}

fn remove(directory: &Path) -> Result<(), PatchError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(PatchError::io(directory, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Makes the directories of a run of the build script, and returns the run's.
    fn run(build_directory: &Path, profile: &str) -> PathBuf {
        let profile = build_directory.join(profile);
        let run = profile.join("build/grpcio-sys-0123");
        fs::create_dir_all(run.join("out/build")).unwrap();
        fs::create_dir_all(profile.join("build/grpcio-sys-4567")).unwrap();
        fs::create_dir_all(profile.join("build/other-0123/out")).unwrap();
        fs::create_dir_all(record(&run).unwrap()).unwrap();
        run
    }

    #[test]
    fn what_was_compiled_otherwise_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (target, patches) = (
            directory.path().join("target"),
            directory.path().join("files"),
        );
        files::write(&patches).unwrap();
        let none: [PathBuf; 0] = [];
        assert_eq!(remove_outdated(&target, &patches).unwrap(), none);

        let as_shipped = run(&target, "debug");
        let of_target = run(&target, "x86_64-unknown-linux-gnu/release");
        let patched = run(&target, "release");
        fs::create_dir_all(patched.join(APPLIED)).unwrap();
        let mut removed = remove_outdated(&target, &patches).unwrap();
        removed.sort();
        assert_eq!(removed, [as_shipped.clone(), of_target]);
        assert!(!as_shipped.exists() && !record(&as_shipped).unwrap().exists());
        assert!(target.join("debug/build/grpcio-sys-4567").exists());
        assert!(target.join("debug/build/other-0123").exists());
        assert!(patched.exists() && record(&patched).unwrap().exists());
        assert_eq!(remove_outdated(&target, &patches).unwrap(), none);

        let file = fs::File::options()
            .write(true)
            .open(patches.join("ccore.cmake"));
        let later = SystemTime::now() + Duration::from_secs(60);
        file.unwrap().set_modified(later).unwrap();
        assert_eq!(remove_outdated(&target, &patches).unwrap(), [patched]);
    }
}
