//! How thorough a run is and what it covers: fixed when the run starts, written into its header, and
//! the same when it is resumed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::workload::Workload;

/// How much time a run may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effort {
    /// For figures that are quoted.
    Full,
    /// For a look after a change.
    Quick,
    /// For tests: does everything work?
    Smoke,
}

impl Effort {
    pub fn rounds(self) -> u32 {
        match self {
            // All of it in half an hour on two cores.
            Effort::Full => 3,
            Effort::Quick => 2,
            Effort::Smoke => 1,
        }
    }

    /// How long a repetition is to last, in seconds; none where it is what it is.
    pub fn repetition(self) -> Option<f64> {
        match self {
            Effort::Full => Some(1.0),
            Effort::Quick => Some(0.25),
            Effort::Smoke => None,
        }
    }
}

/// What a run covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub effort: Effort,
    pub rounds: u32,
    pub workloads: Vec<Workload>,
    pub peers: Vec<String>,
    /// The client for all servers, where it was chosen by hand.
    pub client: Option<String>,
    /// The server for all clients.
    pub server: String,
    /// Where the peers come from, when they are not built here.
    pub peer_list: Option<PathBuf>,
}
