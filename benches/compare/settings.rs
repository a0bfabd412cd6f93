//! The settings of a run: fixed at its start, written into its header, and kept when it is resumed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::workload::Workload;

/// The thoroughness of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effort {
    /// Figures to quote.
    Full,
    /// A quick look after a change.
    Quick,
    /// For tests: checks that everything works.
    Smoke,
}

impl Effort {
    pub fn rounds(self) -> u32 {
        match self {
            // The whole run takes 40 minutes on two cores.
            Effort::Full => 3,
            Effort::Quick => 2,
            Effort::Smoke => 1,
        }
    }

    /// The target length of a repetition in seconds; `None` for a single short run.
    pub fn repetition(self) -> Option<f64> {
        match self {
            Effort::Full => Some(1.0),
            Effort::Quick => Some(0.25),
            Effort::Smoke => None,
        }
    }
}

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub effort: Effort,
    pub rounds: u32,
    pub workloads: Vec<Workload>,
    #[serde(alias = "peers")]
    pub implementations: Vec<String>,
    /// The client for all servers, if `--client` is set.
    pub client: Option<String>,
    /// The server for all clients.
    pub server: String,
    /// The list of programs, if they are not built here.
    #[serde(alias = "peer_list")]
    pub implementation_list: Option<PathBuf>,
}
