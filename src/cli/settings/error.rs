//! What is wrong with settings, as their user is to see it.

use std::io;
use std::path::PathBuf;
use std::process;

use super::super::exit::Exit;

/// Why a program does not run as it was called.
#[derive(Debug)]
pub enum Problem {
    /// The flags are wrong, or only help was asked for.
    Usage {
        /// What clap says.
        error: clap::Error,
        /// Where the flags that it names were set.
        notes: Vec<String>,
    },
    /// What was set elsewhere is no setting.
    Setting(SettingError),
}

/// A file or a variable that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The file cannot be read.
    #[error("--config: cannot read `{}`: {reason}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// It is no TOML.
    #[error("{}, line {line}: {reason}", path.display())]
    NotToml {
        /// Which file.
        path: PathBuf,
        /// From 1 on.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// There is no such flag.
    #[error("{}, line {line}: `{key}` is not a setting{hint}", path.display())]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// From 1 on.
        line: usize,
        /// As it was written.
        key: String,
        /// What may have been meant.
        hint: String,
    },
    /// A value that this flag cannot have, whatever it is.
    #[error("{}, line {line}: `{key}` is {found}, and must be {wanted}", path.display())]
    WrongType {
        /// Which file.
        path: PathBuf,
        /// From 1 on.
        line: usize,
        /// The flag.
        key: String,
        /// What it is.
        found: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// The variable of a switch.
    #[error("{name}: `{value}` is neither true nor false")]
    NoSwitch {
        /// The variable.
        name: String,
        /// What it is.
        value: String,
    },
}

impl From<clap::Error> for Problem {
    fn from(error: clap::Error) -> Problem {
        let notes = Vec::new();
        Problem::Usage { error, notes }
    }
}

impl From<SettingError> for Problem {
    fn from(error: SettingError) -> Problem {
        Problem::Setting(error)
    }
}

impl Problem {
    /// Shows it and ends the process: help with 0, all else with 2.
    pub fn exit(self) -> ! {
        // Where nobody reads, the exit code still tells.
        let code = match self {
            Problem::Usage { error, notes } => {
                let _ = error.print();
                for note in notes {
                    anstream::eprintln!("\nnote: {note}");
                }
                error.exit_code()
            }
            Problem::Setting(error) => {
                let error = clap::Error::raw(clap::error::ErrorKind::ValueValidation, error);
                let _ = error.print();
                anstream::eprintln!();
                Exit::Usage as i32
            }
        };
        process::exit(code)
    }
}
