//! The server's flags for its source, and the extension that opens it. They must not know how calls are
//! served.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::cli::common::{readable_secrets, units};
use crate::resume::{ResumeKey, ResumeKeyError};
use crate::server::{BoxError, Extension, Service, Setup};
use crate::sources::{self, BadLines, Lines};
use crate::tutorial::FETCH_RESPONSE;

/// Name and argument of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceName {
    /// The simulated responses of the tutorial.
    #[default]
    Tutorial,
    /// The lines of the files in a directory.
    Lines(PathBuf),
}

impl FromStr for SourceName {
    type Err = String;

    fn from_str(text: &str) -> Result<SourceName, String> {
        match text.split_once(':') {
            None if text == "tutorial" => Ok(SourceName::Tutorial),
            Some(("lines", directory)) if !directory.is_empty() => {
                Ok(SourceName::Lines(directory.into()))
            }
            _ => Err("write `tutorial` or `lines:DIR`".into()),
        }
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceName::Tutorial => f.write_str("tutorial"),
            SourceName::Lines(directory) => write!(f, "lines:{}", directory.display()),
        }
    }
}

impl ValueEnum for BadLines {
    fn value_variants<'a>() -> &'a [BadLines] {
        &[BadLines::Fail, BadLines::Replace]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            BadLines::Fail => PossibleValue::new("fail").help("End the call with DATA_LOSS"),
            BadLines::Replace => {
                PossibleValue::new("replace").help("Cut long lines; replace other bytes by U+FFFD")
            }
        })
    }
}

/// What the server answers from.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Source")]
pub struct ServerSourceArgs {
    /// What to answer from: tutorial, or lines:DIR, the lines of the files in DIR
    ///
    /// With lines:DIR, a request for id 7 gets the lines of DIR/7, or else of DIR/7.gz or DIR/7.zst.
    /// Links out of DIR are not followed. `client --reconnect` goes on where a stream broke.
    #[arg(long, value_name = "SOURCE", default_value_t)]
    pub source: SourceName,

    /// Longest line of a file
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = units::size)]
    pub max_line_bytes: usize,

    /// What to do with lines that are longer, or not UTF-8
    #[arg(long, value_name = "ACTION", value_enum, default_value_t)]
    pub bad_lines: BadLines,

    /// Authenticate the positions of clients by the key in this file [default: a random key]
    ///
    /// Servers with the same key and the same files resume each other's streams, and a server those
    /// before its restart. The file has 16 bytes or more, such as those of `openssl rand -hex 32`.
    #[arg(long, value_name = "FILE")]
    pub resume_key: Option<PathBuf>,
}

impl ServerSourceArgs {
    /// Opens the source. Returns `None` for the tutorial, which needs nothing.
    pub(super) fn open(&self) -> Result<Option<Service>, SourceError> {
        let SourceName::Lines(directory) = &self.source else {
            return Ok(None);
        };
        let lines = Lines::new(directory).map_err(|reason| SourceError::Directory {
            path: directory.clone(),
            reason,
        })?;
        let lines = lines
            .max_line_bytes(self.max_line_bytes)
            .bad_lines(self.bad_lines);
        let key = match &self.resume_key {
            Some(path) => ResumeKey::from_file(path),
            None => ResumeKey::random(),
        };
        Ok(Some(sources::service(&FETCH_RESPONSE, lines, key?)))
    }

    /// Warnings about a key that others can read.
    pub(super) fn warnings(&self) -> Vec<String> {
        readable_secrets([("--resume-key", &self.resume_key)])
    }

    /// The first given flag that has no meaning for the tutorial.
    pub(super) fn flag_of_lines(&self) -> Option<&'static str> {
        let given = [
            (
                "--max-line-bytes",
                self.max_line_bytes != Lines::MAX_LINE_BYTES,
            ),
            ("--bad-lines", self.bad_lines != BadLines::default()),
            ("--resume-key", self.resume_key.is_some()),
        ];
        first(&given)
    }
}

/// The first flag that is given.
pub(super) fn first(flags: &[(&'static str, bool)]) -> Option<&'static str> {
    let first = flags.iter().find(|(_, given)| *given);
    first.map(|(flag, _)| *flag)
}

/// The source cannot be used. The message names the flag.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A flag has no meaning for the source.
    #[error("{flag} is not for --source {source_name}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// The source.
        source_name: SourceName,
    },
    /// The directory cannot be opened.
    #[error("--source: the directory `{}`: {reason}", path.display())]
    Directory {
        /// Its path.
        path: PathBuf,
        /// Why not.
        reason: io::Error,
    },
    /// There is no usable key.
    #[error("--resume-key: {0}")]
    Key(#[from] ResumeKeyError),
}

/// Opens the source when the server starts.
pub(super) struct SourceExtension(pub(super) super::ServerArgs);

impl Extension for SourceExtension {
    fn name(&self) -> &str {
        "--source"
    }

    fn configure(&mut self, setup: &mut Setup) -> Result<(), BoxError> {
        if let Some(service) = self.0.open_source()? {
            setup.add_service(service);
        }
        Ok(())
    }
}
