//! The worker's service: a session for each RunServer and RunClient, one at a time, since both
//! measure the whole process. It knows neither servers nor clients.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::Sender;
use fanstream::server::Service;
use futures::executor::block_on;
use futures::{SinkExt, TryStreamExt};
use grpcio::{
    DuplexSink, RequestStream, RpcContext, RpcStatus, RpcStatusCode, ServiceBuilder, WriteFlags,
};

use crate::client::BenchmarkClient;
use crate::config::cores;
use crate::proto::worker::{CoreRequest, CoreResponse, Void};
use crate::proto::worker_grpc::{
    METHOD_WORKER_SERVICE_CORE_COUNT, METHOD_WORKER_SERVICE_QUIT_WORKER,
    METHOD_WORKER_SERVICE_RUN_CLIENT, METHOD_WORKER_SERVICE_RUN_SERVER,
};
use crate::server::{BenchmarkServer, Defaults};

/// What a session runs and measures.
pub trait Subject: Sized {
    type Args;
    type Setup;
    type Status: Send;

    fn request(args: Self::Args) -> Option<Request<Self::Setup>>;

    /// Returns the statistics since the last reset.
    fn status(&mut self, reset: bool) -> Self::Status;

    /// Blocks until it has stopped.
    fn stop(self);
}

pub enum Request<S> {
    Setup(S),
    Mark { reset: bool },
}

/// The parts of the service: the library serves the unary methods, grpcio the sessions.
pub fn parts(defaults: Defaults, quit: Sender<()>) -> [Service; 2] {
    let unary = Service::new()
        .unary(&METHOD_WORKER_SERVICE_CORE_COUNT, |_, _: CoreRequest| {
            let mut response = CoreResponse::new();
            response.cores = cores();
            Ok(response)
        })
        .unary(&METHOD_WORKER_SERVICE_QUIT_WORKER, move |_, _: Void| {
            // A full channel means that the worker is quitting already.
            let _ = quit.try_send(());
            Ok(Void::new())
        });
    let sessions = Service::generated("grpc.testing.WorkerService", move |_| {
        let busy = Arc::new(AtomicBool::new(false));
        let also_busy = busy.clone();
        ServiceBuilder::new()
            .add_duplex_streaming_handler(
                &METHOD_WORKER_SERVICE_RUN_SERVER,
                move |_: RpcContext<'_>, requests, sink| {
                    let defaults = defaults.clone();
                    start_session(&busy, requests, sink, move |setup| {
                        BenchmarkServer::start(setup, &defaults)
                    });
                },
            )
            .add_duplex_streaming_handler(
                &METHOD_WORKER_SERVICE_RUN_CLIENT,
                move |_: RpcContext<'_>, requests, sink| {
                    start_session(&also_busy, requests, sink, |setup| {
                        BenchmarkClient::start(&setup)
                    });
                },
            )
            .build()
    });
    [unary, sessions]
}

/// Runs a session on a thread of its own, since it blocks.
fn start_session<S: Subject>(
    busy: &Arc<AtomicBool>,
    mut requests: RequestStream<S::Args>,
    mut sink: DuplexSink<S::Status>,
    start: impl FnOnce(S::Setup) -> Result<S, RpcStatus> + Send + 'static,
) where
    S::Args: 'static,
    S::Status: 'static,
{
    let busy = busy.clone();
    thread::spawn(move || {
        let ended = match Turn::take(busy) {
            Some(_turn) => converse(&mut requests, &mut sink, start),
            None => Err(RpcStatus::with_message(
                RpcStatusCode::RESOURCE_EXHAUSTED,
                "the worker is running another server or client".into(),
            )),
        };
        // The driver may be gone.
        let _ = match ended {
            Ok(()) => block_on(sink.close()),
            Err(status) => {
                // gRPC's driver does not print it.
                let _ = writeln!(io::stderr(), "qps-worker: {}", status.message());
                block_on(sink.fail(status))
            }
        };
    });
}

/// Holds the worker until it is dropped.
struct Turn(Arc<AtomicBool>);

impl Turn {
    fn take(busy: Arc<AtomicBool>) -> Option<Turn> {
        let was_busy = busy.swap(true, Ordering::AcqRel);
        (!was_busy).then_some(Turn(busy))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Returns once the driver has ended its requests or is gone, and the subject has stopped.
fn converse<S: Subject>(
    requests: &mut RequestStream<S::Args>,
    sink: &mut DuplexSink<S::Status>,
    start: impl FnOnce(S::Setup) -> Result<S, RpcStatus>,
) -> Result<(), RpcStatus> {
    let next = |requests: &mut RequestStream<S::Args>| {
        let args = block_on(requests.try_next()).ok().flatten();
        args.map(S::request)
    };
    let Some(Some(Request::Setup(setup))) = next(requests) else {
        return Err(invalid_order("the first request must be a setup"));
    };
    let mut subject = start(setup)?;
    let mut reset = false;
    let ended = loop {
        let status = subject.status(reset);
        if block_on(sink.send((status, WriteFlags::default()))).is_err() {
            break Ok(());
        }
        match next(requests) {
            None => break Ok(()),
            Some(Some(Request::Mark { reset: wanted })) => reset = wanted,
            Some(_) => break Err(invalid_order("each request after the first must be a mark")),
        }
    };
    subject.stop();
    ended
}

fn invalid_order(text: &str) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::INVALID_ARGUMENT, text.into())
}
