//! A StreamService that a test answers with a closure. It shares no code with the library's server.

#![allow(dead_code)] // each test program uses its part of it

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;

use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::{create_stream_service, StreamService};
use futures::executor::block_on;
use futures::future::poll_fn;
use futures::SinkExt;
use grpcio::{
    Environment, RpcContext, RpcStatus, RpcStatusCode, Server, ServerBuilder, ServerStreamingSink,
    WriteFlags,
};

use super::transport::{Transport, TransportSetup};

/// A server on a free port. Dropping it cancels open calls.
pub struct Stub {
    pub address: String,
    setup: TransportSetup,
    _server: Server,
}

/// A call for the closure to answer. The closure runs on the call's own thread and may block.
pub struct Call {
    pub id: i32,
    /// The number of earlier calls for the same id.
    pub attempt: usize,
    pub headers: Vec<(String, Vec<u8>)>,
    /// `None` once the client has ended the call: grpcio panics when such a sink is used again.
    sink: Option<ServerStreamingSink<Response>>,
}

impl Stub {
    pub fn start(transport: Transport, answer: impl Fn(Call) + Send + Sync + 'static) -> Stub {
        Stub::start_at(transport.set_up(), "127.0.0.1:0", answer)
    }

    /// Also `unix:PATH`.
    pub fn start_at(
        setup: TransportSetup,
        address: &str,
        answer: impl Fn(Call) + Send + Sync + 'static,
    ) -> Stub {
        let handler = Handler {
            answer: Arc::new(answer),
            attempts: Arc::default(),
        };
        Stub::bind(setup, address, |builder| {
            builder.register_service(create_stream_service(handler))
        })
    }

    pub fn without_service(transport: Transport) -> Stub {
        Stub::bind(transport.set_up(), "127.0.0.1:0", |builder| builder)
    }

    /// Flags of the `client` binary to connect.
    pub fn client_flags(&self) -> Vec<String> {
        let address = ["--addr".into(), self.address.clone()];
        address
            .into_iter()
            .chain(self.setup.client_flags())
            .collect()
    }

    fn bind(
        setup: TransportSetup,
        address: &str,
        with: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Stub {
        let environment = Arc::new(Environment::new(1));
        // Few slots: grpcio waits for each of them when the server is dropped.
        let builder = ServerBuilder::new(environment).requests_slot_per_cq(16);
        let mut server = with(builder).build().unwrap();
        let port = server
            .add_listening_port(address, setup.server_credentials())
            .unwrap();
        server.start();
        Stub {
            address: match address.strip_suffix(":0") {
                Some(host) => format!("{host}:{port}"),
                None => address.to_string(),
            },
            setup,
            _server: server,
        }
    }
}

impl Call {
    /// Returns false if the call is over.
    pub fn respond(&mut self, result: &str) -> bool {
        let response = Response {
            result: result.to_string(),
            ..Response::default()
        };
        let Some(sink) = &mut self.sink else {
            return false;
        };
        let sent = block_on(sink.send((response, WriteFlags::default()))).is_ok();
        if !sent {
            self.sink = None;
        }
        sent
    }

    pub fn end(self) {
        if let Some(mut sink) = self.sink {
            let _ = block_on(sink.close()); // the call may be over
        }
    }

    pub fn fail(self, code: RpcStatusCode, message: &str) {
        if let Some(sink) = self.sink {
            let status = RpcStatus::with_message(code, message.to_string());
            let _ = block_on(sink.fail(status)); // the call may be over
        }
    }

    /// Blocks until the client has cancelled the call or closed its connection.
    pub fn wait_until_over(self) {
        let Some(mut sink) = self.sink else {
            return;
        };
        block_on(poll_fn(|cx| match sink.poll_ready_unpin(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(()),
            // The end of the call wakes the task.
            _ => Poll::Pending,
        }));
    }
}

#[derive(Clone)]
struct Handler {
    answer: Arc<dyn Fn(Call) + Send + Sync>,
    attempts: Arc<Mutex<HashMap<i32, usize>>>,
}

impl StreamService for Handler {
    fn fetch_response(
        &mut self,
        ctx: RpcContext,
        request: Request,
        sink: ServerStreamingSink<Response>,
    ) {
        let id = request.id;
        let mut attempts = self.attempts.lock().unwrap();
        let count = attempts.entry(id).or_default();
        let call = Call {
            id,
            attempt: *count,
            headers: ctx
                .request_headers()
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            sink: Some(sink),
        };
        *count += 1;
        let answer = self.answer.clone();
        thread::spawn(move || answer(call));
    }
}
