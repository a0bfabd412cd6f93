//! Errors of settings, as the user sees them.

use std::io;
use std::path::PathBuf;
use std::process;

use crate::cli::common::Exit;

/// Why a program does not run.
#[derive(Debug)]
pub enum Problem {
    /// The flags are wrong, or ask for help only.
    Usage {
        /// clap's error.
        error: clap::Error,
        /// The sources of the flags that it names.
        notes: Vec<String>,
    },
    /// A file or an environment variable is wrong.
    Setting(SettingError),
}

/// An unusable file or environment variable.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The file cannot be read.
    #[error("--config: cannot read `{}`: {reason}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: {reason}", path.display())]
    NotToml {
        /// The path of the file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The parser's message.
        reason: String,
    },
    /// The key is not a flag.
    #[error("{}, line {line}: `{key}` is not a setting{hint}", path.display())]
    UnknownKey {
        /// The path of the file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// A suggestion, or nothing.
        hint: String,
    },
    /// The value has the wrong type for its flag.
    #[error("{}, line {line}: `{key}` is {found}, but must be {wanted}", path.display())]
    WrongType {
        /// The path of the file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The type of the value.
        found: &'static str,
        /// The types that the flag accepts.
        wanted: &'static str,
    },
    /// The variable of a switch is neither true nor false.
    #[error("{name}: `{value}` is neither true nor false")]
    NoSwitch {
        /// The name of the variable.
        name: String,
        /// Its value.
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
    /// Prints the problem and ends the process: help with 0, anything else with 2.
    pub fn exit(self) -> ! {
        // If standard error is closed, the exit code remains.
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
