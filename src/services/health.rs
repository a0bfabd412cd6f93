//! `grpc.health.v1.Health`: the status of services, for probes and load balancers. It must not know
//! what makes a service healthy.

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
use super::{status, PeerLimits, ServingStatus, MAX_REQUEST};
use crate::engine::codec::{raw_requests, Raw};
use crate::engine::{PeerPermit, Streams};
use crate::proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};

/// The most Watch calls at once. Each holds a few KB, nearly all of it the C-core's.
const MOST_WATCHES: usize = 10_000;

/// The most services of a List response, as in other implementations.
const MOST_LISTED: usize = 100;

const CHECK: Method<Raw<HealthCheckRequest>, HealthCheckResponse> =
    raw_requests(MethodType::Unary, "/grpc.health.v1.Health/Check");
const LIST: Method<Raw<HealthListRequest>, HealthListResponse> =
    raw_requests(MethodType::Unary, "/grpc.health.v1.Health/List");
const WATCH: Method<Raw<HealthCheckRequest>, HealthCheckResponse> =
    raw_requests(MethodType::ServerStreaming, "/grpc.health.v1.Health/Watch");

/// The health of a server's services; clones share it. The name of the whole server is `""`.
#[derive(Clone)]
pub struct Health(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Notified when the last Watch call ends.
    unwatched: Condvar,
    slots: Slots,
    limits: PeerLimits,
}

#[derive(Default)]
struct State {
    services: BTreeMap<String, ServingStatus>,
    /// A waker for each Watch call, to wake it on a change; `None` while the call is being polled.
    watches: HashMap<u64, Option<Waker>>,
    next_watch: u64,
    /// Nothing changes any more, and Watch calls end.
    over: bool,
}

impl Default for Health {
    fn default() -> Health {
        Health::new()
    }
}

impl Health {
    /// Starts with the whole server SERVING and no other service.
    pub fn new() -> Health {
        let state = State {
            services: [(String::new(), ServingStatus::SERVING)].into(),
            ..State::default()
        };
        Health(Arc::new(Shared {
            state: Mutex::new(state),
            unwatched: Condvar::new(),
            slots: Slots::new(MOST_WATCHES),
            limits: PeerLimits::default(),
        }))
    }

    /// Has all calls count against the limits by peer of `streams`. The first one counts.
    pub fn limit_by(&self, streams: &Streams) {
        self.0.limits.set(streams.clone());
    }

    /// Sets the status of `service`, and notifies its Watch calls. Has no effect after
    /// [`Health::shut_down`]. Never blocks.
    pub fn set(&self, service: impl Into<String>, status: ServingStatus) {
        self.change(|services| {
            services.insert(service.into(), status);
        });
    }

    /// Removes `service`: Check then ends with NOT_FOUND. Never blocks.
    pub fn remove(&self, service: &str) {
        self.change(|services| {
            services.remove(service);
        });
    }

    /// The status of `service`; `None` for an unknown one.
    pub fn get(&self, service: &str) -> Option<ServingStatus> {
        self.0.lock().services.get(service).copied()
    }

    /// Sets every service to NOT_SERVING for good. Watch calls receive that, and end with UNAVAILABLE.
    /// Blocks until they have ended, at most for `timeout`; false when some have not.
    pub fn shut_down(&self, timeout: Duration) -> bool {
        self.change(|services| {
            let all = services.values_mut();
            all.for_each(|status| *status = ServingStatus::NOT_SERVING);
        });
        let asleep = {
            let mut state = self.0.lock();
            state.over = true;
            state.asleep()
        };
        asleep.into_iter().for_each(Waker::wake);
        let state = self.0.lock();
        let watched = |state: &mut State| !state.watches.is_empty();
        let waited = self.0.unwatched.wait_timeout_while(state, timeout, watched);
        let (state, _) = waited.unwrap_or_else(|e| e.into_inner());
        state.watches.is_empty()
    }

    /// The service, to be registered with a server.
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
        if state.over {
            return;
        }
        change(&mut state.services);
        let asleep = state.asleep();
        drop(state);
        asleep.into_iter().for_each(Waker::wake);
    }

    fn check(&self, request: Raw<HealthCheckRequest>) -> Result<HealthCheckResponse, RpcStatus> {
        let service = request.decode(MAX_REQUEST)?.service;
        match self.get(&service) {
            Some(status) => Ok(response(status)),
            None => Err(status(
                RpcStatusCode::NOT_FOUND,
                format!("there is no service `{service}`"),
            )),
        }
    }

    fn list(&self, request: Raw<HealthListRequest>) -> Result<HealthListResponse, RpcStatus> {
        request.decode(MAX_REQUEST)?;
        let state = self.0.lock();
        if state.services.len() > MOST_LISTED {
            let text = format!("there are more than {MOST_LISTED} services; ask for each");
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
            let service = request.decode(MAX_REQUEST)?.service;
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
    /// The wakers to wake once the lock is released: a waker may own a call, and ending that call takes
    /// the lock.
    fn asleep(&mut self) -> Vec<Waker> {
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
    ctx.spawn(sent.map(|_| ())); // the client may be gone
}

/// One Watch call.
struct Watch {
    shared: Arc<Shared>,
    id: u64,
    service: String,
    sent: Option<ServingStatus>,
    _place: (Slot, Option<PeerPermit>),
}

enum Event {
    Changed(ServingStatus),
    Over,
    /// The client has cancelled or disconnected, or the deadline has passed.
    Gone,
}

impl Watch {
    fn begin(shared: Arc<Shared>, service: String, place: (Slot, Option<PeerPermit>)) -> Watch {
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
            _place: place,
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
                Event::Over => {
                    let end = status(RpcStatusCode::UNAVAILABLE, "the server is draining");
                    let _ = sink.fail(end).await; // the client may be gone
                    return;
                }
                Event::Gone => return,
            }
        }
    }

    fn poll_event(
        &self,
        sink: &mut ServerStreamingSink<HealthCheckResponse>,
        cx: &mut Context<'_>,
    ) -> Poll<Event> {
        // Also registers for the end of the call, while there is nothing to send.
        match Pin::new(sink).poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Event::Gone),
            Poll::Pending => return Poll::Pending,
        }
        let mut state = self.shared.lock();
        let status = state.services.get(&self.service).copied();
        let status = status.unwrap_or(ServingStatus::SERVICE_UNKNOWN);
        if self.sent != Some(status) {
            return Poll::Ready(Event::Changed(status));
        }
        if state.over {
            return Poll::Ready(Event::Over);
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
            self.shared.unwatched.notify_all();
        }
        drop(state);
        drop(waker);
    }
}
