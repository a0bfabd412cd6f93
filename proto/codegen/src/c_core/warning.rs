//! What a build script tells its user about the C-core: that it is compiled without the patches, or
//! with those of another version.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Once;

use super::{files, toolchain};

/// The package whose users' build scripts say it, so its own does not.
const LIBRARY: &str = "fanstream";

/// Warns the user of this build script, once, if the C-core is not compiled with the patches of
/// this version. cargo shows it for the user's own packages.
pub(crate) fn warn_if_unpatched() {
    static FIRST: Once = Once::new();

    let is_librarys = env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == LIBRARY);
    // The toolchain file changes nothing on other systems.
    if cfg!(target_os = "linux") && !is_librarys {
        FIRST.call_once(|| {
            for line in instructions(|name| env::var_os(name)) {
                println!("{line}");
            }
        });
    }
}

/// The instructions to cargo of a build script with these variables.
fn instructions(variable: impl Fn(&str) -> Option<OsString>) -> Vec<String> {
    let text = |name| {
        variable(name)
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let variables = toolchain::variables(&text("HOST"), &text("TARGET"));
    let changed = variables
        .iter()
        .map(|name| format!("cargo:rerun-if-env-changed={name}"));
    let mut lines: Vec<String> = changed.collect();

    let file = toolchain::file(&variables, &variable);
    let patches = file.as_deref().and_then(our_directory).map(files::patches);
    // cargo would rerun the script for ever for a path that does not exist.
    for path in file.iter().chain(&patches).filter(|path| path.exists()) {
        lines.push(format!("cargo:rerun-if-changed={}", path.display()));
    }
    if let Some(fault) = fault(file.as_deref()) {
        let mend = format!("cargo run --manifest-path {MANIFEST:?} -- patch");
        lines.push(format!(
            "cargo:warning={fault}. In the package's directory, run: {mend}"
        ));
    }
    lines
}

/// Wherever this package was compiled: from a registry, from git or from a path.
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

fn fault(file: Option<&Path>) -> Option<String> {
    let Some(file) = file.filter(|file| toolchain::has_patches(file)) else {
        let text = "the gRPC C-core is compiled without fanstream's patches: hostile clients can \
            stop a server, and small messages take several times as much processor time";
        return Some(text.into());
    };
    let directory = our_directory(file).filter(|directory| !files::are_in(directory))?;
    let version = env!("CARGO_PKG_VERSION");
    let directory = directory.display();
    Some(format!(
        "{directory} does not have the patches of fanstream {version}"
    ))
}

/// The directory of our toolchain file, which has our patches. A file that includes ours may be
/// anywhere.
fn our_directory(file: &Path) -> Option<&Path> {
    file.parent()
        .filter(|_| file.file_name().is_some_and(|name| name == "ccore.cmake"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The last instruction with this toolchain file.
    fn last(file: &Path) -> String {
        let value = |name: &str| (name == "CMAKE_TOOLCHAIN_FILE").then(|| file.into());
        instructions(value).pop().unwrap()
    }

    #[test]
    fn without_the_toolchain_file_a_command_mends_it() {
        let lines = instructions(|name| (name == "TARGET").then(|| "a-b".into()));
        for name in ["CMAKE_TOOLCHAIN_FILE_a-b", "CMAKE_TOOLCHAIN_FILE"] {
            assert!(
                lines.contains(&format!("cargo:rerun-if-env-changed={name}")),
                "{lines:?}"
            );
        }
        let warning = lines.last().unwrap();
        assert!(warning.starts_with("cargo:warning=the gRPC C-core is compiled without"));
        let mend = format!("cargo run --manifest-path \"{MANIFEST}\" -- patch");
        assert!(warning.ends_with(&mend), "{warning}");

        let missing = last(Path::new("/no/such/ccore.cmake"));
        assert_eq!(&missing, warning);
    }

    #[test]
    fn our_files_are_watched_and_must_be_of_this_version() {
        let directory = tempfile::tempdir().unwrap();
        files::write(directory.path()).unwrap();
        let file = directory.path().join("ccore.cmake");
        let watched = format!("cargo:rerun-if-changed={}", file.display());
        let lines =
            instructions(|name| (name == "CMAKE_TOOLCHAIN_FILE").then(|| file.clone().into()));
        assert!(lines.contains(&watched), "{lines:?}");
        assert_eq!(
            last(&file),
            format!(
                "cargo:rerun-if-changed={}/ccore",
                directory.path().display()
            )
        );

        fs::write(directory.path().join("ccore/originals.sha256"), "others").unwrap();
        let warning = last(&file);
        let start = format!("cargo:warning={} does not have", directory.path().display());
        assert!(warning.starts_with(&start), "{warning}");

        let including = directory.path().join("own.cmake");
        fs::write(&including, "include(\"ccore.cmake\")").unwrap();
        assert!(last(&including).starts_with("cargo:rerun-if-changed="));
    }
}
