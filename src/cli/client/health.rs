//! `client health`: the standard health check. It must not know how it connects or fails.

use std::io::Write;

use clap::Args;

use super::command_error::CommandError;
use super::command_output::CommandOutput;
use crate::cli::common::Exit;
use crate::client::Client;
use crate::services::ServingStatus;

/// Arguments of `client health`.
#[derive(Args, Clone, Debug)]
pub struct HealthArgs {
    /// The full name of a service, such as protobuf.StreamService [default: the whole server]
    #[arg(value_name = "SERVICE", default_value = "", hide_default_value = true)]
    pub service: String,

    /// Print a line for each change, until the server ends the call
    #[arg(long)]
    pub watch: bool,
}

impl HealthArgs {
    pub(super) fn run(
        &self,
        client: &Client,
        out: &mut CommandOutput<impl Write>,
    ) -> Result<Exit, CommandError> {
        if !self.watch {
            let status = client.health(&self.service)?;
            out.print(name(status))?;
            return Ok(exit(status));
        }
        let mut last = ServingStatus::UNKNOWN;
        for response in client.watch_health(&self.service) {
            last = response?.status;
            out.print(name(last))?;
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
