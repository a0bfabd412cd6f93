//! The text of cargo's configuration, with the variables of the C-core's build in its table `[env]`.
//! Lines are added, and nothing else changes: not the order, not the comments. It must not read or
//! write files.

use std::path::{Path, PathBuf};

use super::{PatchError, TOOLCHAIN};

const TOOLCHAIN_VARIABLE: &str = "CMAKE_TOOLCHAIN_FILE";
const GENERATOR_VARIABLE: &str = "CMAKE_GENERATOR";

/// cargo's configuration in `root`. cargo reads the first of both, if it exists.
pub(super) fn file(root: &Path) -> PathBuf {
    let old = root.join(".cargo/config");
    match old.is_file() {
        true => old,
        false => root.join(".cargo/config.toml"),
    }
}

/// A changed configuration.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    pub(super) text: String,
    /// The variables that it sets newly.
    pub(super) set: Vec<&'static str>,
}

/// Why a configuration stays as it is. Lines count from 1.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    OtherToolchain { line: usize, file: String },
    NoTable { line: usize },
}

impl Fault {
    pub(super) fn of(self, config: &Path, root: &Path) -> PatchError {
        let config = config.into();
        match self {
            Fault::OtherToolchain { line, file } => PatchError::OtherToolchain {
                config,
                line,
                file,
                ours: root.join(TOOLCHAIN),
            },
            Fault::NoTable { line } => PatchError::NoTable { config, line },
        }
    }
}

/// Sets the toolchain file, and with `ninja` the generator. Returns `None` if both are set: another
/// toolchain file may include ours, as `includes_ours` tells, and another generator stays.
pub(super) fn change(
    text: &str,
    ninja: bool,
    includes_ours: impl Fn(&str) -> bool,
) -> Result<Option<Change>, Fault> {
    let env = Env::read(text)?;
    let mut lines = Vec::new();
    match env.toolchain {
        Some((_, file)) if file == TOOLCHAIN || includes_ours(&file) => {}
        Some((line, file)) => return Err(Fault::OtherToolchain { line, file }),
        None => lines.push((
            TOOLCHAIN_VARIABLE,
            format!("{TOOLCHAIN_VARIABLE} = {{ value = \"{TOOLCHAIN}\", relative = true }}\n"),
        )),
    }
    if ninja && !env.has_generator {
        let line = format!("{GENERATOR_VARIABLE} = \"Ninja\"\n");
        lines.push((GENERATOR_VARIABLE, line));
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let (set, lines): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
    let text = insert(text, env.table, &lines.concat());
    Ok(Some(Change { text, set }))
}

/// Adds lines at the beginning of the table, which begins at this offset, or in a new one.
fn insert(text: &str, table: Option<usize>, lines: &str) -> String {
    let (before, behind) = text.split_at(table.unwrap_or(text.len()));
    let newline = match before {
        "" => "",
        _ if before.ends_with('\n') => "",
        _ => "\n",
    };
    match table {
        Some(_) => format!("{before}{newline}{lines}{behind}"),
        None if before.is_empty() => format!("[env]\n{lines}"),
        None => format!("{before}{newline}\n[env]\n{lines}"),
    }
}

/// What a configuration has of `[env]`.
#[derive(Default)]
struct Env {
    /// Where the first line behind its header begins.
    table: Option<usize>,
    /// The line of the toolchain file, and its path.
    toolchain: Option<(usize, String)>,
    has_generator: bool,
}

impl Env {
    fn read(text: &str) -> Result<Env, Fault> {
        let mut env = Env::default();
        let mut table = String::new();
        let mut offset = 0;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            offset += line.len();
            let number = index + 1;
            if let Some(name) = header(line) {
                if name == "env" {
                    env.table = Some(offset);
                }
                table = name;
            } else if let Some((key, value)) = assignment(line) {
                let is_at_top = table.is_empty();
                let name = match is_at_top {
                    true => key,
                    false => format!("{table}.{key}"),
                };
                if is_at_top && (name == "env" || name.starts_with("env.")) {
                    return Err(Fault::NoTable { line: number });
                }
                env.note(&name, value, number);
            }
        }
        Ok(env)
    }

    /// Notes a variable. It may be a table of its own: `[env.NAME]` with `value = …`.
    fn note(&mut self, name: &str, value: &str, line: usize) {
        let Some(variable) = name.strip_prefix("env.") else {
            return;
        };
        let variable = variable.strip_suffix(".value").unwrap_or(variable);
        if variable == TOOLCHAIN_VARIABLE {
            self.toolchain = Some((line, quoted(value).into()));
        }
        self.has_generator |= variable == GENERATOR_VARIABLE;
    }
}

/// The name in the header of a table.
fn header(line: &str) -> Option<String> {
    let line = line.split('#').next()?.trim();
    let name = line.strip_prefix('[')?.strip_suffix(']')?;
    Some(plain(name))
}

/// The key and the value of a line.
fn assignment(line: &str) -> Option<(String, &str)> {
    let line = line.trim();
    let (key, value) = line.split_once('=')?;
    (!line.starts_with('#')).then(|| (plain(key), value))
}

/// A key without what may surround its parts.
fn plain(key: &str) -> String {
    let parts = key
        .split('.')
        .map(|part| part.trim().trim_matches(['"', '\'']));
    parts.collect::<Vec<_>>().join(".")
}

/// The first string in a value.
fn quoted(value: &str) -> &str {
    let Some(start) = value.find(['"', '\'']) else {
        return "";
    };
    let (quote, rest) = value[start..].split_at(1);
    rest.split(quote).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str =
        "CMAKE_TOOLCHAIN_FILE = { value = \".cargo/fanstream/ccore.cmake\", relative = true }\n";
    const BOTH: [&str; 2] = [TOOLCHAIN_VARIABLE, GENERATOR_VARIABLE];

    fn changed(text: &str) -> Change {
        let change = change(text, true, |_| false).unwrap().unwrap();
        // It stays TOML, and is complete.
        let table: toml::Table = change.text.parse().unwrap();
        assert_eq!(
            table["env"][TOOLCHAIN_VARIABLE]["value"].as_str(),
            Some(TOOLCHAIN)
        );
        assert_eq!(
            table["env"][TOOLCHAIN_VARIABLE]["relative"].as_bool(),
            Some(true)
        );
        assert!(table["env"].get(GENERATOR_VARIABLE).is_some());
        assert_eq!(super::change(&change.text, true, |_| false), Ok(None));
        change
    }

    #[test]
    fn a_new_configuration_has_both_variables() {
        let change = changed("");
        assert_eq!(
            change.text,
            format!("[env]\n{SET}CMAKE_GENERATOR = \"Ninja\"\n")
        );
        assert_eq!(change.set, BOTH);
    }

    #[test]
    fn without_ninja_the_generator_stays_cmakes() {
        let change = change("", false, |_| false).unwrap().unwrap();
        assert_eq!(change.text, format!("[env]\n{SET}"));
        assert_eq!(change.set, [TOOLCHAIN_VARIABLE]);
    }

    #[test]
    fn an_existing_configuration_keeps_every_line() {
        for text in [
            "# ours\n[build]\nrustflags = [\n  \"-C\", \"link-arg=-s\", # env = 1\n]\n",
            "[alias]\nt = \"test\"",
            "[env]\nA = \"1\"\n\n[net]\noffline = true\n",
            "[ env ] # variables\r\nA = \"1\"\r\n",
            "[env]",
            "[env.A]\nvalue = \"1\"\n",
            "[env]\nCMAKE_GENERATOR = \"Unix Makefiles\"\n",
            "[\"env\"]\n\"CMAKE_GENERATOR\" = { value = \"Ninja\" }\n",
        ] {
            let change = changed(text);
            let mut lines = change.text.lines();
            for line in text.lines() {
                assert!(
                    lines.any(|kept| kept == line),
                    "{line:?} in {:?}",
                    change.text
                );
            }
            let has_generator = text.contains(GENERATOR_VARIABLE);
            assert_eq!(
                change.set.len(),
                if has_generator { 1 } else { 2 },
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_variable_elsewhere_or_in_a_comment_is_none() {
        let text = "[env]\n# CMAKE_TOOLCHAIN_FILE = \"a\"\n[net]\nCMAKE_TOOLCHAIN_FILE = \"b\"\n";
        assert_eq!(changed(text).set, BOTH);
    }

    #[test]
    fn another_toolchain_file_must_include_ours() {
        for (text, line) in [
            ("[env]\nCMAKE_TOOLCHAIN_FILE = '/arm.cmake'\n", 2),
            (
                "[env.CMAKE_TOOLCHAIN_FILE]\nrelative = false\nvalue = \"/arm.cmake\"\n",
                3,
            ),
            (
                "[env]\n\nCMAKE_TOOLCHAIN_FILE = { relative = false, value = \"/arm.cmake\" }\n",
                3,
            ),
            ("[env]\nCMAKE_TOOLCHAIN_FILE.value = \"/arm.cmake\"\n", 2),
        ] {
            let file = "/arm.cmake".into();
            let fault = change(text, false, |_| false).unwrap_err();
            assert_eq!(fault, Fault::OtherToolchain { line, file }, "{text}");
            let including = change(text, false, |file| file == "/arm.cmake");
            assert_eq!(including, Ok(None), "{text}");
        }
    }

    #[test]
    fn variables_outside_a_table_are_refused() {
        for text in [
            "\nenv = { A = \"1\" }\n",
            "# x\nenv.A = \"1\"\n",
            "\n\"env\" . A = 1\n[env]",
        ] {
            let fault = change(text, true, |_| false).unwrap_err();
            assert_eq!(fault, Fault::NoTable { line: 2 }, "{text}");
        }
        let message = Fault::NoTable { line: 2 }
            .of(Path::new("a/config.toml"), Path::new("a"))
            .to_string();
        assert!(message.starts_with("a/config.toml, line 2: "), "{message}");
    }
}
