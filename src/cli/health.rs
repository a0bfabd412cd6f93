//! `client health`: the standard health check, for people and for probes.

use std::io::Write;

use clap::Args;

use super::commands::{print, Ended};
use super::exit::Exit;
use crate::client::Client;
use crate::services::ServingStatus;

/// What to tell the health of, and for how long.
#[derive(Args, Clone, Debug)]
pub struct HealthArgs {
    /// The full name of a service, such as protobuf.StreamService [default: the whole server]
    #[arg(value_name = "SERVICE", default_value = "", hide_default_value = true)]
    pub service: String,

    /// Go on, with a line for each change, until the server ends the call
    #[arg(long)]
    pub watch: bool,
}

impl HealthArgs {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<Exit, Ended> {
        if !self.watch {
            let status = client.health(&self.service)?;
            print(out, name(status))?;
            return Ok(exit(status));
        }
        let mut last = ServingStatus::UNKNOWN;
        for response in client.watch_health(&self.service) {
            last = response?.status;
            print(out, name(last))?;
        }
        Ok(exit(last))
    }
}

fn exit(status: ServingStatus) -> Exit {
    match status {
        ServingStatus::SERVING => Exit::Complete,
        _ => Exit::Status,
    }
}

fn name(status: ServingStatus) -> &'static str {
    match status {
        ServingStatus::UNKNOWN => "UNKNOWN",
        ServingStatus::SERVING => "SERVING",
        ServingStatus::NOT_SERVING => "NOT_SERVING",
        ServingStatus::SERVICE_UNKNOWN => "SERVICE_UNKNOWN",
    }
}
