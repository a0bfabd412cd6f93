//! The gRPC C-core with fanstream's patches, in the build of the package that uses `fanstream`.
//!
//! `grpcio-sys` compiles the C-core. Its only door is the environment variable
//! `CMAKE_TOOLCHAIN_FILE`: fanstream's toolchain file applies the patches. [`patch`] puts the file
//! and the patches into the package, and has cargo set the variable. The program `fanstream-build`
//! is its command line. Without them, [`Protos::generate`](crate::Protos::generate) warns.

mod cargo;
mod compiled;
mod config;
mod error;
mod files;
mod toolchain;
mod warning;

use std::fmt;
use std::path::{Path, PathBuf};
use std::{env, fs};

pub use error::PatchError;
pub(crate) use warning::warn_if_unpatched;

use config::Change;

/// The directory of the toolchain file and the patches in a package. A path in cargo's
/// configuration is relative to the parent of `.cargo`.
const DIRECTORY: &str = ".cargo/fanstream";

/// The toolchain file in a package.
const TOOLCHAIN: &str = ".cargo/fanstream/ccore.cmake";

/// Programs that the C-core's build needs.
const NEEDED: [&str; 2] = ["cmake", "patch"];

/// Has the package in `directory`, or its workspace, compile the C-core with the patches. Blocks
/// while cargo tells the directories.
///
/// It writes the toolchain file and the patches to `.cargo/fanstream`, sets `CMAKE_TOOLCHAIN_FILE`
/// in `[env]` of `.cargo/config.toml`, and also `CMAKE_GENERATOR` if Ninja is installed. It removes
/// what cargo has compiled of another C-core, so the next build compiles it again. Where all of it
/// is done already, it changes nothing.
///
/// # Errors
///
/// [`PatchError`] with the file and the reason.
pub fn patch(directory: &Path) -> Result<Patched, PatchError> {
    let workspace = cargo::workspace(directory)?;
    let files = workspace.root.join(DIRECTORY);
    let config = config::file(&workspace.root);
    let change = plan(&workspace.root, &config)?;

    let written = files::write(&files)?;
    if let Some(change) = &change {
        fs::write(&config, &change.text).map_err(|source| PatchError::io(&config, source))?;
    }
    let removed = compiled::remove_outdated(&workspace.build_directory, &files)?;
    Ok(Patched {
        files,
        written,
        config,
        set: change.map_or(Vec::new(), |change| change.set),
        removed,
        missing: NEEDED
            .into_iter()
            .filter(|name| !is_on_path(name))
            .collect(),
    })
}

/// The change of cargo's configuration; `None` if it is as it should be.
fn plan(root: &Path, config: &Path) -> Result<Option<Change>, PatchError> {
    let text = match fs::read_to_string(config) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(PatchError::io(config, source)),
    };
    let includes_ours = |file: &str| toolchain::has_patches(&root.join(file));
    config::change(&text, is_on_path("ninja"), includes_ours)
        .map_err(|fault| fault.of(config, root))
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// What [`patch`] has done, as text for people.
#[derive(Debug)]
pub struct Patched {
    files: PathBuf,
    /// The names of the files that were written or removed.
    written: Vec<String>,
    config: PathBuf,
    /// The variables that were set.
    set: Vec<&'static str>,
    /// The directories of what was compiled.
    removed: Vec<PathBuf>,
    missing: Vec<&'static str>,
}

impl fmt::Display for Patched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, config) = (self.files.display(), self.config.display());
        if self.written.is_empty() && self.set.is_empty() && self.removed.is_empty() {
            let version = env!("CARGO_PKG_VERSION");
            writeln!(
                f,
                "nothing to do: {files} has the patches of fanstream {version}"
            )?;
        }
        if !self.written.is_empty() {
            writeln!(f, "{files}: changed files: {}", self.written.len())?;
        }
        if !self.set.is_empty() {
            writeln!(f, "{config}: set {}", self.set.join(" and "))?;
        }
        for directory in &self.removed {
            let directory = directory.display();
            writeln!(
                f,
                "{directory}: removed, so the next build compiles the C-core again"
            )?;
        }
        for program in &self.missing {
            writeln!(
                f,
                "the next build needs `{program}`, which is not installed"
            )?;
        }
        if !self.written.is_empty() || !self.set.is_empty() {
            writeln!(
                f,
                "commit them, so that every checkout compiles the same C-core"
            )?;
        }
        Ok(())
    }
}
