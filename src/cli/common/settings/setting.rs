//! A setting outside the command line: its flag, its value and its origin. Data only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// The environment of a process.
pub type Environment = BTreeMap<OsString, OsString>;

/// The place of a setting outside the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The environment variable of this name.
    Environment(String),
    /// A line of a file.
    File {
        /// The path as it was given.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Environment(name) => write!(f, "the environment variable {name}"),
            Origin::File { path, line } => write!(f, "{}, line {line}", path.display()),
        }
    }
}

/// A setting outside the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    /// The long name of the flag, without hyphens.
    pub(super) flag: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// The value of a switch.
    Switch(bool),
    /// One value, or several of a flag that may be repeated.
    Given(Vec<OsString>),
}

impl Setting {
    /// The setting as arguments of the command line.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let argument = |value: &OsString| {
            let mut argument = OsString::from(format!("--{}=", self.flag));
            argument.push(value);
            argument
        };
        match &self.value {
            Value::Switch(true) => vec![format!("--{}", self.flag).into()],
            Value::Switch(false) => Vec::new(),
            Value::Given(values) => values.iter().map(argument).collect(),
        }
    }
}

/// Notes about the origin of each flag that `text` names.
pub(super) fn notes(settings: &[Setting], text: &str) -> Vec<String> {
    settings
        .iter()
        .filter(|setting| names(text, &setting.flag))
        .map(|Setting { flag, origin, .. }| format!("--{flag} is set by {origin}"))
        .collect()
}

fn names(text: &str, flag: &str) -> bool {
    let flag = format!("--{flag}");
    text.match_indices(&flag).any(|(at, _)| {
        let next = text[at + flag.len()..].chars().next();
        !next.is_some_and(|c| c == '-' || c.is_ascii_alphanumeric())
    })
}
