//! `client list`: the services of a server, by reflection.

use std::io::Write;

use clap::Args;

use super::command_error::CommandError;
use super::command_output::CommandOutput;
use crate::cli::common::Exit;
use crate::client::Client;

/// Arguments of `client list`: none.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {}

impl ListArgs {
    pub(super) fn run(
        &self,
        client: &Client,
        out: &mut CommandOutput<impl Write>,
    ) -> Result<Exit, CommandError> {
        for service in client.protos()?.services() {
            out.print(service)?;
        }
        Ok(Exit::Complete)
    }
}
