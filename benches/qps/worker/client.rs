//! The benchmark client: a thread for each outstanding call, on this library's blocking client. It
//! knows nothing of sessions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fanstream::client::Client;
use fanstream::engine::ReceiveError;
use grpcio::{RpcStatus, RpcStatusCode};

use crate::config::{self, CallKind, Load};
use crate::proto::benchmark_grpc::{
    METHOD_BENCHMARK_SERVICE_STREAMING_FROM_SERVER, METHOD_BENCHMARK_SERVICE_UNARY_CALL,
};
use crate::proto::test::SimpleRequest;
use crate::proto::worker::{
    ClientArgs, ClientArgs_oneof_argtype, ClientConfig as Setup, ClientStatus,
};
use crate::recorder::Recorder;
use crate::service::{Request, Subject};
use crate::timer::Timer;

/// The pause after a failed call: without it, calls of a server that is gone would use all
/// processors.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

/// A client that runs.
pub struct BenchmarkClient {
    stop: Arc<AtomicBool>,
    callers: Vec<Arc<Mutex<Recorder>>>,
    threads: Vec<JoinHandle<()>>,
    empty: Recorder,
    timer: Timer,
}

impl BenchmarkClient {
    /// Connects all channels, then starts the calls. Blocks while it connects.
    pub fn start(setup: &Setup) -> Result<BenchmarkClient, RpcStatus> {
        let load = config::load(setup)?;
        let clients = connect(&load)?;
        let mut running = BenchmarkClient {
            stop: Arc::default(),
            callers: Vec::new(),
            threads: Vec::new(),
            empty: Recorder::new(load.scale),
            timer: Timer::start(),
        };
        for client in clients
            .iter()
            .flat_map(|client| vec![client; load.calls_per_channel])
        {
            running.add_caller(&load, client.clone())?;
        }
        Ok(running)
    }

    fn add_caller(&mut self, load: &Load, client: Client) -> Result<(), RpcStatus> {
        let recorder = Arc::new(Mutex::new(self.empty.clone()));
        let caller = Caller {
            client,
            request: load.request.clone(),
            recorder: recorder.clone(),
            stop: self.stop.clone(),
        };
        let call = match load.kind {
            CallKind::Unary => Caller::unary,
            CallKind::StreamingFromServer => Caller::streaming_from_server,
        };
        let thread = thread::Builder::new().spawn(move || {
            while !caller.is_stopped() {
                call(&caller);
            }
        });
        match thread {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                self.stop.store(true, Ordering::Relaxed);
                return Err(unavailable(format!("no thread for each call: {error}")));
            }
        }
        self.callers.push(recorder);
        Ok(())
    }

    /// Waits for the calls: each ends with its next response, or when its server is gone.
    fn end_calls(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A caller that has panicked has printed why.
            let _ = thread.join();
        }
    }
}

fn connect(load: &Load) -> Result<Vec<Client>, RpcStatus> {
    let targets = load.targets.iter().cycle().take(load.channels);
    targets
        .map(Client::connect)
        .collect::<Result<_, _>>()
        .map_err(|error| unavailable(error.to_string()))
}

fn unavailable(text: String) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, text)
}

impl Subject for BenchmarkClient {
    type Args = ClientArgs;
    type Setup = Setup;
    type Status = ClientStatus;

    fn request(args: ClientArgs) -> Option<Request<Setup>> {
        args.argtype.map(|argument| match argument {
            ClientArgs_oneof_argtype::setup(setup) => Request::Setup(setup),
            ClientArgs_oneof_argtype::mark(mark) => Request::Mark { reset: mark.reset },
        })
    }

    fn status(&mut self, reset: bool) -> ClientStatus {
        let mut total = self.empty.clone();
        for caller in &self.callers {
            let mut recorder = lock(caller);
            total.add(&recorder);
            if reset {
                recorder.clone_from(&self.empty);
            }
        }
        let elapsed = self.timer.elapsed(reset);
        let mut stats = total.stats();
        stats.time_elapsed = elapsed.wall;
        stats.time_user = elapsed.user;
        stats.time_system = elapsed.system;
        let mut status = ClientStatus::new();
        status.set_stats(stats);
        status
    }

    fn stop(mut self) {
        self.end_calls();
    }
}

/// Makes one call at a time.
struct Caller {
    client: Client,
    request: SimpleRequest,
    recorder: Arc<Mutex<Recorder>>,
    stop: Arc<AtomicBool>,
}

impl Caller {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn unary(&self) {
        let start = Instant::now();
        let method = &METHOD_BENCHMARK_SERVICE_UNARY_CALL;
        match self.client.unary(method, self.request.clone()) {
            Ok(_) => {
                let mut recorder = lock(&self.recorder);
                recorder.response(start.elapsed());
                recorder.end(RpcStatusCode::OK);
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Records the time between responses, as gRPC's own clients do.
    fn streaming_from_server(&self) {
        let mut last = Instant::now();
        let method = &METHOD_BENCHMARK_SERVICE_STREAMING_FROM_SERVER;
        for response in self.client.call(method, self.request.clone()) {
            if let Err(error) = response {
                return self.failed(&error);
            }
            let now = Instant::now();
            lock(&self.recorder).response(now - last);
            last = now;
            if self.is_stopped() {
                return;
            }
        }
        lock(&self.recorder).end(RpcStatusCode::OK);
    }

    fn failed(&self, error: &ReceiveError) {
        lock(&self.recorder).end(error.code());
        thread::sleep(PAUSE_AFTER_FAILURE);
    }
}

/// A recorder holds numbers only, so one of a caller that has panicked is complete.
fn lock(recorder: &Mutex<Recorder>) -> MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::worker::ServerConfig;
    use crate::server::{BenchmarkServer, Defaults};

    /// The deadline of a wait.
    const TIMEOUT: Duration = Duration::from_secs(30);

    fn responses(client: &mut BenchmarkClient, reset: bool) -> f64 {
        client.status(reset).get_stats().get_latencies().count
    }

    #[test]
    fn a_reset_starts_anew() {
        let defaults = Defaults {
            host: "127.0.0.1".into(),
            port: 0,
        };
        let mut server = BenchmarkServer::start(ServerConfig::new(), &defaults).unwrap();
        let mut setup = config::tests::client();
        setup.server_targets[0] = format!("127.0.0.1:{}", server.status(false).port);
        let mut client = BenchmarkClient::start(&setup).unwrap();
        let deadline = Instant::now() + TIMEOUT;
        while responses(&mut client, false) == 0.0 {
            assert!(Instant::now() < deadline, "no response");
            thread::yield_now();
        }
        client.end_calls();
        assert!(responses(&mut client, true) > 0.0);
        assert_eq!(responses(&mut client, false), 0.0);
        server.stop();
    }
}
