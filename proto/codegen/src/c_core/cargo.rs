//! Asks cargo for the directories of a workspace.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::PatchError;

/// The directories of a workspace, or of a package without one.
pub(super) struct Workspace {
    pub(super) root: PathBuf,
    /// Where cargo keeps what build scripts compile.
    pub(super) build_directory: PathBuf,
}

/// The workspace of the package in `directory`.
pub(super) fn workspace(directory: &Path) -> Result<Workspace, PatchError> {
    let failed = |reason| PatchError::Cargo {
        directory: directory.into(),
        reason,
    };
    // cargo sets CARGO for the programs that it runs.
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version=1"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !asked.status.success() {
        return Err(failed(
            String::from_utf8_lossy(&asked.stderr).trim_end().into(),
        ));
    }
    let json = String::from_utf8_lossy(&asked.stdout);
    let member = |name| member(&json, name);
    // Older versions of cargo have one directory for everything.
    let build_directory = member("build_directory").or_else(|| member("target_directory"));
    match (member("workspace_root"), build_directory) {
        (Some(root), Some(build_directory)) => Ok(Workspace {
            root: root.into(),
            build_directory: build_directory.into(),
        }),
        _ => Err(failed("it does not tell the directories".into())),
    }
}

/// The string `name` of a JSON object; `None` also if the string has escapes other than `\"` and
/// `\\`. A whole parser would be the largest dependency of every user's build script.
fn member(json: &str, name: &str) -> Option<String> {
    let mut depth = 0;
    let mut rest = json;
    while let Some(at) = rest.find(['{', '}', '[', ']', '"']) {
        let found = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        match found {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {
                let (text, behind) = string(rest)?;
                rest = behind;
                // Only a key has a colon behind it.
                let value = rest.trim_start().strip_prefix(':').map(str::trim_start);
                if let (1, true, Some(value)) = (depth, text == name, value) {
                    return unescape(string(value.strip_prefix('"')?)?.0);
                }
            }
        }
    }
    None
}

/// The string that begins here, behind its quotation mark, and what follows it.
fn string(json: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = json.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })?;
    Some((&json[..end], &json[end + 1..]))
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => characters.next().filter(|c| ['"', '\\'].contains(c))?,
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_of_this_package() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = workspace(&here.join("src")).unwrap();
        assert!(here.starts_with(&workspace.root));
        assert!(workspace.build_directory.is_absolute());
    }

    #[test]
    fn without_a_package_the_error_is_cargos() {
        let directory = tempfile::tempdir().unwrap();
        let error = workspace(directory.path()).map(|_| ()).unwrap_err();
        let error = error.to_string();
        let start = format!("{}: `cargo metadata`: ", directory.path().display());
        assert!(
            error.starts_with(&start) && error.contains("Cargo.toml"),
            "{error}"
        );
    }

    #[test]
    fn a_member_is_found_at_the_top_only() {
        let json =
            r#"{"a":{"root":"x","b":["root","{"]},"c":"root","n":7,"root" : "/a \"b\" \\c"}"#;
        assert_eq!(member(json, "root").unwrap(), r#"/a "b" \c"#);
        assert_eq!(member(json, "b"), None);
        assert_eq!(member(json, "n"), None);
        assert_eq!(member(r#"{"root":"/a\u0007"}"#, "root"), None);
        assert_eq!(member(r#"{"root":"/a"#, "root"), None);
    }
}
