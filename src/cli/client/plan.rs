//! A validated command line of the client. Data only.

use super::command::Command;
use super::output::Format;
use crate::client::{ClientConfig, ResumePolicy};

/// The work of one run of the client.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How to connect and call.
    pub config: ClientConfig,
    /// The ids to fetch; at least one.
    pub ids: Vec<i32>,
    /// Responses to take of each id before its call is cancelled; `None` takes all.
    pub take: Option<u64>,
    /// The most calls at the same time.
    pub concurrency: usize,
    /// How calls go on after losses; `None` fails instead.
    pub resume: Option<ResumePolicy>,
    /// The format of responses.
    pub format: Format,
    /// Print a summary instead of responses.
    pub quiet: bool,
    /// Warnings to print first.
    pub warnings: Vec<String>,
    /// A command to run instead of fetching.
    pub command: Option<Command>,
}
