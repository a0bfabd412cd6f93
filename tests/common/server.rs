//! The `server` binary on a free port, and a client that sends raw bytes as messages.

#![allow(dead_code)] // each test program uses its part of it

use std::sync::Arc;
use std::time::Duration;

use grpcio::{
    CallOption, Channel, ChannelBuilder, Client, Environment, Marshaller, MessageReader, Method,
    MethodType, RpcStatus,
};

use super::process::Process;
use super::transport::{Transport, TransportSetup};

/// A running server, killed when it is dropped.
pub struct TestServer {
    pub process: Process,
    /// Where it listens, `host:port`.
    pub address: String,
    pub setup: TransportSetup,
}

impl TestServer {
    /// On a free port of 127.0.0.1.
    #[track_caller]
    pub fn start(transport: Transport, flags: &[&str]) -> TestServer {
        TestServer::listen(transport, "127.0.0.1:0", flags)
    }

    #[track_caller]
    pub fn listen(transport: Transport, address: &str, flags: &[&str]) -> TestServer {
        let setup = transport.set_up();
        let of_setup = setup.server_flags();
        let of_setup = of_setup.iter().map(String::as_str);
        let all = ["--listen", address].into_iter().chain(of_setup);
        let process = server(all.chain(flags.iter().copied()));
        let listening = process.line();
        let address = listening
            .strip_prefix("listening on ")
            .expect("the address");
        TestServer {
            address: address.to_string(),
            process,
            setup,
        }
    }

    pub fn channel(&self) -> Channel {
        let poll = Arc::new(Environment::new(1));
        // Not shared with other channels.
        let builder = ChannelBuilder::new(poll)
            .max_receive_message_len(-1)
            .use_local_subchannel_pool(true);
        self.setup.connect(builder, &self.address)
    }

    /// The `client` binary, with the flags to connect.
    pub fn client(&self, flags: &[&str]) -> Process {
        let of_setup = self.setup.client_flags();
        let of_setup = of_setup.iter().map(String::as_str);
        let all = ["--addr", &self.address].into_iter().chain(of_setup);
        Process::start(
            env!("CARGO_BIN_EXE_client"),
            all.chain(flags.iter().copied()),
        )
    }
}

/// The `server` binary, with exactly these flags.
pub fn server<'a>(flags: impl IntoIterator<Item = &'a str>) -> Process {
    Process::start(env!("CARGO_BIN_EXE_server"), flags)
}

const BYTES: Marshaller<Vec<u8>> = Marshaller {
    ser: |bytes, buffer| {
        *buffer = bytes.clone().into();
        Ok(())
    },
    de: |mut reader: MessageReader| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
        Ok(bytes)
    },
};

/// A server-streaming method whose messages are bytes.
pub fn raw_method(name: &'static str) -> Method<Vec<u8>, Vec<u8>> {
    Method {
        ty: MethodType::ServerStreaming,
        name,
        req_mar: BYTES,
        resp_mar: BYTES,
    }
}

/// Sends `request` unchanged, and returns the number of responses and the status.
pub fn send_raw(channel: &Channel, method: &'static str, request: Vec<u8>) -> (usize, RpcStatus) {
    let method = raw_method(method);
    let options = CallOption::default().timeout(Duration::from_secs(30));
    let stream = Client::new(channel.clone())
        .server_streaming(&method, &request, options)
        .unwrap();
    let mut responses = 0;
    for response in futures::executor::block_on_stream(stream) {
        match response {
            Ok(_) => responses += 1,
            Err(grpcio::Error::RpcFailure(status)) => return (responses, status),
            Err(other) => panic!("{other}"),
        }
    }
    (responses, RpcStatus::ok())
}

/// The method of the tutorial.
pub const FETCH: &str = "/protobuf.StreamService/FetchResponse";
