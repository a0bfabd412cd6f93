//! Makes the responses of this project's server by its own code, without sending them: the
//! `--produce` that the other servers have themselves.

// It serves nothing, so the flags of a server are unused.
#[allow(dead_code)]
#[path = "../common_rust/server.rs"]
mod common;

use std::hint::black_box;
use std::io;
use std::process::ExitCode;

use clap::Parser;
use fanstream::proto::stream::Response;
use fanstream::tutorial::Tutorial;

use common::ServerArgs;

/// The id in the text of each response.
const ID: i32 = 1;

fn main() -> ExitCode {
    let args = ServerArgs::parse();
    match produce(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanstream-produce: {error}");
            ExitCode::from(2)
        }
    }
}

fn produce(args: &ServerArgs) -> io::Result<()> {
    let tutorial = Tutorial {
        responses: args.tutorial.responses,
        step: args.tutorial.step,
        size: (args.tutorial.size > 0).then_some(args.tutorial.size),
    };
    // As in a call, whose responses reuse it too.
    let mut response = Response::default();
    common::produce(args.produce.unwrap_or(1), |k| {
        tutorial.respond(&mut response, k, ID);
        black_box(&response).result.len()
    })
}
