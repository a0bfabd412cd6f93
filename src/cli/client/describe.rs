//! `client describe`: the proto of a service, a method or a type, by reflection.

use std::io::Write;

use clap::Args;
use grpcio::{RpcStatus, RpcStatusCode};

use super::command_error::CommandError;
use super::command_output::CommandOutput;
use super::proto_text;
use crate::cli::common::Exit;
use crate::client::Client;
use crate::engine::ReceiveError;

/// Arguments of `client describe`.
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    /// A full name, such as protobuf.StreamService or protobuf.Response [default: every service]
    #[arg(value_name = "SYMBOL")]
    pub symbol: Option<String>,
}

impl DescribeArgs {
    pub(super) fn run(
        &self,
        client: &Client,
        out: &mut CommandOutput<impl Write>,
    ) -> Result<Exit, CommandError> {
        let mut protos = client.protos()?;
        let symbols = match &self.symbol {
            // Protos write full names with a leading dot.
            Some(symbol) => vec![symbol.trim_start_matches('.').to_string()],
            None => protos.services().to_vec(),
        };
        for (index, symbol) in symbols.iter().enumerate() {
            let pool = protos.describe(symbol)?;
            let text = proto_text::of(&pool, symbol).ok_or_else(|| {
                let text = format!("the server's files do not declare `{symbol}`");
                let status = RpcStatus::with_message(RpcStatusCode::NOT_FOUND, text);
                CommandError::Call(ReceiveError::Status(status.into()))
            })?;
            if index > 0 {
                out.print("")?;
            }
            out.print(text.trim_end())?;
        }
        Ok(Exit::Complete)
    }
}
