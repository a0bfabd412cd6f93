//! The benchmark server: `grpc.testing.BenchmarkService` on this library. It knows nothing of
//! sessions.

use std::iter;
use std::time::Duration;

use fanstream::address::Address;
use fanstream::engine::codec::Encoded;
use fanstream::engine::{CallContext, WorkersConfig};
use fanstream::server::{Server, ServerConfig, Service};
use fanstream::Status;
use grpcio::{RpcStatus, RpcStatusCode};

use crate::config::{self, cores};
use crate::proto::benchmark_grpc::{
    METHOD_BENCHMARK_SERVICE_STREAMING_FROM_SERVER, METHOD_BENCHMARK_SERVICE_UNARY_CALL,
};
use crate::proto::test::{SimpleRequest, SimpleResponse};
use crate::proto::worker::{
    ServerArgs, ServerArgs_oneof_argtype, ServerConfig as Setup, ServerStats, ServerStatus,
};
use crate::service::{Request, Subject};
use crate::timer::Timer;

/// Where a server listens if its configuration does not say so.
#[derive(Clone)]
pub struct Defaults {
    pub host: String,
    pub port: u16,
}

/// A server that runs.
pub struct BenchmarkServer {
    server: Server,
    timer: Timer,
}

impl BenchmarkServer {
    pub fn start(setup: Setup, defaults: &Defaults) -> Result<BenchmarkServer, RpcStatus> {
        let checked = config::server(&setup)?;
        let mut config = ServerConfig {
            listen: vec![Address::Tcp {
                host: defaults.host.clone(),
                port: match checked.port {
                    0 => defaults.port,
                    port => port,
                },
            }],
            // The driver chooses the number of calls.
            max_streams_per_connection: None,
            ..ServerConfig::default()
        };
        if let Some(max_threads) = checked.threads {
            config.workers = WorkersConfig {
                max_threads,
                ..WorkersConfig::default()
            };
        }
        let service = Service::new()
            .unary(&METHOD_BENCHMARK_SERVICE_UNARY_CALL, |_, request| {
                response(&request)
            })
            .server_streaming(
                &METHOD_BENCHMARK_SERVICE_STREAMING_FROM_SERVER,
                streaming_from_server,
            );
        let server = Server::builder().config(config).add_service(service);
        let server = server.start().map_err(|error| {
            let text = format!("the server cannot start: {error}");
            RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, text)
        })?;
        Ok(BenchmarkServer {
            server,
            timer: Timer::start(),
        })
    }
}

impl Subject for BenchmarkServer {
    type Args = ServerArgs;
    type Setup = Setup;
    type Status = ServerStatus;

    fn request(args: ServerArgs) -> Option<Request<Setup>> {
        args.argtype.map(|argument| match argument {
            ServerArgs_oneof_argtype::setup(setup) => Request::Setup(setup),
            ServerArgs_oneof_argtype::mark(mark) => Request::Mark { reset: mark.reset },
        })
    }

    fn status(&mut self, reset: bool) -> ServerStatus {
        let elapsed = self.timer.elapsed(reset);
        let mut stats = ServerStats::new();
        stats.time_elapsed = elapsed.wall;
        stats.time_user = elapsed.user;
        stats.time_system = elapsed.system;
        let mut status = ServerStatus::new();
        status.set_stats(stats);
        if let Address::Tcp { port, .. } = self.server.bound()[0].address {
            status.port = port.into();
        }
        status.cores = cores();
        status
    }

    fn stop(self) {
        self.server.shutdown(Duration::ZERO);
    }
}

/// Encodes the response anew for each message, as gRPC's own servers do.
fn streaming_from_server(
    _: &CallContext,
    request: SimpleRequest,
) -> Result<impl Iterator<Item = Result<Encoded<SimpleResponse>, Status>>, Status> {
    let response = response(&request)?;
    Ok(iter::repeat_with(move || Encoded::new(&response)))
}

fn response(request: &SimpleRequest) -> Result<SimpleResponse, Status> {
    let mut response = SimpleResponse::new();
    match usize::try_from(request.response_size) {
        Ok(0) => {}
        Ok(size) => response.mut_payload().body = vec![0; size],
        Err(_) => {
            return Err(config::invalid(
                "response_size",
                format!("{} is negative", request.response_size),
            )
            .into())
        }
    }
    Ok(response)
}
