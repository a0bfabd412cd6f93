//! Implements `grpc.health.v1.Health`: the status of services, for probes and load balancers. It
//! must not know when a service is healthy.
//!
//! A Watch call:
//!
//! | state | event | result |
//! | --- | --- | --- |
//! | any | the sink cannot send yet | waits |
//! | any | status differs from the last one sent | sends it |
//! | up to date | shut down | ends with UNAVAILABLE |
//! | up to date | otherwise | waits for a change |
//! | any | client has cancelled or disconnected, or deadline has passed | ends |

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::{FutureExt, Sink, SinkExt};
use grpcio::{
    Method, MethodType, RpcContext, RpcStatus, RpcStatusCode, ServerStreamingSink, Service,
    ServiceBuilder, UnarySink, WriteFlags,
};

use super::slots::{Slot, Slots};
use super::{status, PeerLimits, ServingStatus, MAX_REQUEST_BYTES};
use crate::engine::codec::{raw_requests, Raw};
use crate::engine::{PeerPermit, Streams};
use crate::proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};

/// Maximum concurrent Watch calls. Each occupies a few KB, almost all in the C-core.
const MAX_WATCHES: usize = 10_000;

/// Maximum services in a List response, as in other implementations.
const MAX_LISTED: usize = 100;

const CHECK: Method<Raw<HealthCheckRequest>, HealthCheckResponse> =
    raw_requests(MethodType::Unary, "/grpc.health.v1.Health/Check");
const LIST: Method<Raw<HealthListRequest>, HealthListResponse> =
    raw_requests(MethodType::Unary, "/grpc.health.v1.Health/List");
const WATCH: Method<Raw<HealthCheckRequest>, HealthCheckResponse> =
    raw_requests(MethodType::ServerStreaming, "/grpc.health.v1.Health/Watch");

/// The health of a server's services. Clones share it. The name `""` stands for the whole server.
#[derive(Clone)]
pub struct Health(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Notified when no Watch call is left.
    no_watches: Condvar,
    slots: Slots,
    limits: PeerLimits,
}

#[derive(Default)]
struct State {
    services: BTreeMap<String, ServingStatus>,
    /// The waker of each Watch call, for changes. `None` while the call is being polled.
    watches: HashMap<u64, Option<Waker>>,
    next_watch: u64,
    /// True after a shutdown: no status changes, and Watch calls end.
    is_shut_down: bool,
}

impl Default for Health {
    fn default() -> Health {
        Health::new()
    }
}

impl Health {
    /// Creates a health in which the whole server is SERVING. No service is known yet.
    pub fn new() -> Health {
        let state = State {
            services: [(String::new(), ServingStatus::SERVING)].into(),
            ..State::default()
        };
        Health(Arc::new(Shared {
            state: Mutex::new(state),
            no_watches: Condvar::new(),
            slots: Slots::new(MAX_WATCHES),
            limits: PeerLimits::default(),
        }))
    }

    /// Applies the per-peer limits of `streams` to all calls. Later calls of this function have no
    /// effect.
    pub fn limit_by(&self, streams: &Streams) {
        self.0.limits.set(streams.clone());
    }

    /// Sets the status of `service` and notifies its Watch calls. Has no effect after
    /// [`Health::shut_down`]. Never blocks.
    pub fn set(&self, service: impl Into<String>, status: ServingStatus) {
        self.change(|services| {
            services.insert(service.into(), status);
        });
    }

    /// Removes `service`. A Check of it then ends with NOT_FOUND. Never blocks.
    pub fn remove(&self, service: &str) {
        self.change(|services| {
            services.remove(service);
        });
    }

    /// Returns the status of `service`, or `None` if it is unknown.
    pub fn get(&self, service: &str) -> Option<ServingStatus> {
        self.0.lock().services.get(service).copied()
    }

    /// Sets every service to NOT_SERVING for good. Watch calls receive that status, then end with
    /// UNAVAILABLE. Blocks until they have ended, for at most `timeout`. Returns false if some are
    /// still open.
    pub fn shut_down(&self, timeout: Duration) -> bool {
        self.change(|services| {
            let all = services.values_mut();
            all.for_each(|status| *status = ServingStatus::NOT_SERVING);
        });
        let wakers = {
            let mut state = self.0.lock();
            state.is_shut_down = true;
            state.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
        let state = self.0.lock();
        let watched = |state: &mut State| !state.watches.is_empty();
        let waited = self
            .0
            .no_watches
            .wait_timeout_while(state, timeout, watched);
        let (state, _) = waited.unwrap_or_else(|e| e.into_inner());
        state.watches.is_empty()
    }

    /// Returns the service, to be registered with a server.
    pub fn service(&self) -> Service {
        let (for_check, for_list, for_watch) = (self.clone(), self.clone(), self.clone());
        ServiceBuilder::new()
            .add_unary_handler(&CHECK, move |ctx, request, sink| {
                let admitted = for_check.0.limits.admit(&ctx);
                answer(&ctx, sink, admitted.and_then(|_| for_check.check(request)));
            })
            .add_unary_handler(&LIST, move |ctx, request, sink| {
                let admitted = for_list.0.limits.admit(&ctx);
                answer(&ctx, sink, admitted.and_then(|_| for_list.list(request)));
            })
            .add_server_streaming_handler(&WATCH, move |ctx, request, sink| {
                for_watch.watch(&ctx, request, sink);
            })
            .build()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, ServingStatus>)) {
        let mut state = self.0.lock();
        if state.is_shut_down {
            return;
        }
        change(&mut state.services);
        let wakers = state.take_wakers();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn check(&self, request: Raw<HealthCheckRequest>) -> Result<HealthCheckResponse, RpcStatus> {
        let service = request.decode(MAX_REQUEST_BYTES)?.service;
        match self.get(&service) {
            Some(status) => Ok(response(status)),
            None => Err(status(
                RpcStatusCode::NOT_FOUND,
                format!("there is no service `{service}`"),
            )),
        }
    }

    fn list(&self, request: Raw<HealthListRequest>) -> Result<HealthListResponse, RpcStatus> {
        request.decode(MAX_REQUEST_BYTES)?;
        let state = self.0.lock();
        if state.services.len() > MAX_LISTED {
            let text = format!("more than {MAX_LISTED} services; check each of them");
            return Err(status(RpcStatusCode::RESOURCE_EXHAUSTED, text));
        }
        let all = state.services.iter();
        Ok(HealthListResponse {
            statuses: all.map(|(name, s)| (name.clone(), response(*s))).collect(),
            ..HealthListResponse::default()
        })
    }

    fn watch(
        &self,
        ctx: &RpcContext<'_>,
        request: Raw<HealthCheckRequest>,
        sink: ServerStreamingSink<HealthCheckResponse>,
    ) {
        let begin = || {
            let permit = self.0.limits.admit(ctx)?;
            let slot = self.0.slots.take("Health/Watch", ctx)?;
            let service = request.decode(MAX_REQUEST_BYTES)?.service;
            Ok(Watch::begin(self.0.clone(), service, (slot, permit)))
        };
        match begin() {
            Ok(watch) => ctx.spawn(watch.run(sink)),
            Err(status) => ctx.spawn(sink.fail(status).map(|_| ())),
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Health")
            .field("services", &state.services)
            .field("watches", &state.watches.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl State {
    /// Returns the wakers to wake after releasing the lock. A waker may own a call, and the end of
    /// a call takes the lock.
    fn take_wakers(&mut self) -> Vec<Waker> {
        self.watches.values_mut().filter_map(Option::take).collect()
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status,
        ..HealthCheckResponse::default()
    }
}

fn answer<T: Send + 'static>(
    ctx: &RpcContext<'_>,
    sink: UnarySink<T>,
    answer: Result<T, RpcStatus>,
) {
    let sent = match answer {
        Ok(response) => sink.success(response),
        Err(status) => sink.fail(status),
    };
    ctx.spawn(sent.map(|_| ())); // fails if the client has disconnected
}

/// One Watch call.
struct Watch {
    shared: Arc<Shared>,
    id: u64,
    service: String,
    sent: Option<ServingStatus>,
    _permits: (Slot, Option<PeerPermit>),
}

enum Event {
    Changed(ServingStatus),
    ShutDown,
    /// The client has cancelled or disconnected, or the deadline has passed.
    CallEnded,
}

impl Watch {
    fn begin(shared: Arc<Shared>, service: String, permits: (Slot, Option<PeerPermit>)) -> Watch {
        let mut state = shared.lock();
        let id = state.next_watch;
        state.next_watch += 1;
        state.watches.insert(id, None);
        drop(state);
        Watch {
            shared,
            id,
            service,
            sent: None,
            _permits: permits,
        }
    }

    async fn run(mut self, mut sink: ServerStreamingSink<HealthCheckResponse>) {
        loop {
            match poll_fn(|cx| self.poll_event(&mut sink, cx)).await {
                Event::Changed(status) => {
                    let message = (response(status), WriteFlags::default());
                    if sink.send(message).await.is_err() {
                        return;
                    }
                    self.sent = Some(status);
                }
                Event::ShutDown => {
                    let end = status(RpcStatusCode::UNAVAILABLE, "the server is draining");
                    let _ = sink.fail(end).await; // fails if the client has disconnected
                    return;
                }
                Event::CallEnded => return,
            }
        }
    }

    fn poll_event(
        &self,
        sink: &mut ServerStreamingSink<HealthCheckResponse>,
        cx: &mut Context<'_>,
    ) -> Poll<Event> {
        // Also registers for the end of the call while no message is pending.
        match Pin::new(sink).poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Event::CallEnded),
            Poll::Pending => return Poll::Pending,
        }
        let mut state = self.shared.lock();
        let status = state.services.get(&self.service).copied();
        let status = status.unwrap_or(ServingStatus::SERVICE_UNKNOWN);
        if self.sent != Some(status) {
            return Poll::Ready(Event::Changed(status));
        }
        if state.is_shut_down {
            return Poll::Ready(Event::ShutDown);
        }
        state.watches.insert(self.id, Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let waker = state.watches.remove(&self.id);
        if state.watches.is_empty() {
            self.shared.no_watches.notify_all();
        }
        drop(state);
        drop(waker);
    }
}
