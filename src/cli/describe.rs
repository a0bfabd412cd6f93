//! `client describe`: the proto of what a server has.

use std::io::Write;

use clap::Args;
use grpcio::{RpcStatus, RpcStatusCode};

use super::commands::{print, Ended};
use super::exit::Exit;
use super::proto_text;
use crate::client::Client;
use crate::engine::ReceiveError;

/// What to describe.
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    /// A full name, such as protobuf.StreamService or protobuf.Response [default: every service]
    #[arg(value_name = "SYMBOL")]
    pub symbol: Option<String>,
}

impl DescribeArgs {
    pub(super) fn run(&self, client: &Client, out: &mut impl Write) -> Result<Exit, Ended> {
        let mut protos = client.protos()?;
        let symbols = match &self.symbol {
            // As protos spell a full name.
            Some(symbol) => vec![symbol.trim_start_matches('.').to_string()],
            None => protos.services().to_vec(),
        };
        for (index, symbol) in symbols.iter().enumerate() {
            let pool = protos.describe(symbol)?;
            let text = proto_text::of(&pool, symbol).ok_or_else(|| {
                let text = format!("the server's files do not declare `{symbol}`");
                let status = RpcStatus::with_message(RpcStatusCode::NOT_FOUND, text);
                Ended::Call(ReceiveError::Status(status))
            })?;
            if index > 0 {
                writeln!(out)?;
            }
            print(out, text.trim_end())?;
        }
        Ok(Exit::Complete)
    }
}
