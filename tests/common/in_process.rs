//! The library's server and client in the test's process, configured by the flags of the binaries.

#![allow(dead_code)] // each test program uses its part of it

use clap::Parser;
use fanstream::cli::client::ClientArgs;
use fanstream::cli::server::ServerArgs;
use fanstream::client::{Client, ClientBuilder, ResponseStream};
use fanstream::engine::ReceiveError;
use fanstream::proto::stream::Response;
use fanstream::server::{Server, ServerBuilder};
use grpcio::RpcStatus;

use super::transport::{Transport, TransportSetup};

/// A server that runs until it is dropped.
pub struct InProcess {
    pub server: Server,
    /// Where it listens, `host:port`.
    pub address: String,
    pub setup: TransportSetup,
}

impl InProcess {
    /// On a free port of 127.0.0.1.
    #[track_caller]
    pub fn start(transport: Transport, flags: &[&str]) -> InProcess {
        InProcess::start_with(transport, flags, |builder| builder)
    }

    /// The same, with what `extend` adds.
    #[track_caller]
    pub fn start_with(
        transport: Transport,
        flags: &[&str],
        extend: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> InProcess {
        let setup = transport.set_up();
        let of_setup = setup.server_flags();
        let fixed = ["server", "--listen", "127.0.0.1:0"];
        let of_setup = of_setup.iter().map(String::as_str);
        let all = fixed.into_iter().chain(of_setup);
        let args = ServerArgs::parse_from(all.chain(flags.iter().copied()));
        let server = extend(args.server()).start().unwrap();
        InProcess {
            address: server.bound()[0].address.to_string(),
            server,
            setup,
        }
    }

    /// A client connected to `address`: the server's, or that of a proxy in front of it.
    #[track_caller]
    pub fn client(&self, address: &str, flags: &[&str]) -> Client {
        let of_setup = self.setup.client_flags();
        let of_setup = of_setup.iter().map(String::as_str);
        // No test waits forever.
        let limits = ["--first-timeout", "30s", "--idle-timeout", "30s"];
        let fixed = ["client", "--addr", address].into_iter().chain(limits);
        let all = fixed.chain(of_setup);
        let args = ClientArgs::parse_from(all.chain(flags.iter().copied()));
        ClientBuilder::from(args.validate().unwrap().config)
            .connect()
            .unwrap()
    }
}

/// A call of the tutorial's method.
pub fn call(client: &Client) -> ResponseStream<Response> {
    fanstream::tutorial::fetch(client, 1)
}

/// Reads a call to its end: the number of responses, and the status unless it is OK.
pub fn fetch(client: &Client) -> (usize, Option<RpcStatus>) {
    let mut received = 0;
    for response in call(client) {
        match response {
            Ok(_) => received += 1,
            Err(ReceiveError::Status(status)) => return (received, Some(status.into())),
            Err(other) => panic!("{other}"),
        }
    }
    (received, None)
}
