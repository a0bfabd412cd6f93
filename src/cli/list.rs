//! `client list`: the services of a server.

use std::io::Write;

use clap::Args;

use super::commands::{print, Ended};
use super::exit::Exit;
use crate::client::Client;

/// Nothing: it lists all.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {}

impl ListArgs {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<Exit, Ended> {
        for service in client.protos()?.services() {
            print(out, service)?;
        }
        Ok(Exit::Complete)
    }
}
