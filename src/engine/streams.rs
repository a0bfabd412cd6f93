//! The engine's entry point on a server: [`Streams`] admits, serves, counts and ends calls. It
//! knows nothing of one call's producers (`call`) and messages (`send`).

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use grpcio::{RpcContext, RpcStatus, ServerStreamingSink};

use super::call::{Call, CallContext, Jobs};
use super::channel::{bounded, Capacity, Joining};
use super::codec::Encoded;
use super::limits::{
    LimitEnforcer, Limits, OpenStream, Peer, Permit, Refusal, Registration, StreamTable,
};
use super::panic::drop_caught;
use super::payload::Payload;
use super::send::ResponseWriter;
use super::stats::{
    arrived, ended, CallEnd, Counts, Observation, Observer, Observers, StreamsSnapshot,
};
use super::status::{failure, sendable};
use super::termination::Termination;
use super::workers::Workers;
use super::yielding::yield_briefly;
use crate::Status;

/// Configuration of a server's [`Streams`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsConfig {
    /// The channel of each call.
    pub capacity: Capacity,
    /// The most open streams. A call beyond them ends with RESOURCE_EXHAUSTED at once.
    pub max_streams: usize,
    /// Further limits; none by default.
    pub limits: Limits,
}

impl Default for StreamsConfig {
    /// The default [`Capacity`]; 100,000 streams; no further limits.
    fn default() -> StreamsConfig {
        StreamsConfig {
            capacity: Capacity::default(),
            max_streams: 100_000,
            limits: Limits::default(),
        }
    }
}

/// The open streams of a server. Clones share them.
#[derive(Clone)]
pub struct Streams {
    shared: Arc<Shared>,
    /// Contexts of calls keep the peer and the headers.
    keeps_metadata: bool,
    /// See [`Streams::direct`].
    is_direct: bool,
    /// See [`Streams::framed`].
    is_framed: bool,
}

struct Shared {
    workers: Arc<Workers>,
    config: StreamsConfig,
    table: Arc<StreamTable>,
    /// `None` if no limit needs one.
    enforcer: Option<Arc<LimitEnforcer>>,
    observer: Observers,
    /// Held while a snapshot is taken, since only one may run at a time.
    snapshots: Mutex<()>,
}

impl Streams {
    /// Creates an empty set of streams, whose producers will run on `workers`.
    pub fn new(workers: Workers, config: StreamsConfig) -> Streams {
        Streams::with_observer(workers, config, None)
    }

    /// As [`Streams::new`], with an observer of every call.
    pub fn with_observer(
        workers: Workers,
        config: StreamsConfig,
        observer: Option<Arc<dyn Observer>>,
    ) -> Streams {
        let table = StreamTable::new(&config.limits);
        let workers = Arc::new(workers);
        let shared = Shared {
            enforcer: LimitEnforcer::new(&config.limits, &workers, table.clone()),
            workers,
            config,
            table,
            observer,
            snapshots: Mutex::default(),
        };
        Streams {
            shared: Arc::new(shared),
            keeps_metadata: true,
            is_direct: false,
            is_framed: false,
        }
    }

    /// Returns a handle to the same streams that keeps no metadata: the [`CallContext`] of a call
    /// served through it has no [peer](CallContext::peer) and no [headers](CallContext::headers).
    /// This saves some 500 bytes for each open stream.
    pub fn without_metadata(&self) -> Streams {
        Streams {
            keeps_metadata: false,
            ..self.clone()
        }
    }

    /// Returns a handle to the same streams for code that never blocks: a call served through it
    /// begins on the poll thread, without a worker. There `open` runs, and the first producer if it
    /// is due, until the channel is full. Workers do the rest, and run all of
    /// [`Job::push`](super::Job::push).
    ///
    /// The first response then needs no wake-up of another thread, and a short call no worker at
    /// all. But while that code runs, all other calls of the poll thread wait.
    pub fn direct(&self) -> Streams {
        Streams {
            is_direct: true,
            ..self.clone()
        }
    }

    /// Returns a handle to the same streams that joins small encoded messages to frames. The server
    /// must have the channel argument [`FRAMED_MESSAGES`](super::frames::FRAMED_MESSAGES) and no
    /// compression, and its C-core the patch.
    pub(crate) fn framed(&self) -> Streams {
        Streams {
            is_framed: true,
            ..self.clone()
        }
    }

    /// Serves a call: `open` turns the request, which it holds, into jobs, and the client receives
    /// the messages of their producers as they are made.
    ///
    /// Returns at once. `open` and the producers run on worker threads and may block, unless these
    /// streams are [direct](Streams::direct). The call ends
    /// with OK when all producers have ended; with the first failure of `open` or of a producer,
    /// after the messages made before it; with INTERNAL if one panics or a message cannot be
    /// encoded; with RESOURCE_EXHAUSTED at once if too many streams are open; as the [`Limits`]
    /// define; or with the status given to [`Streams::refuse`]. The `open` of a refused call is
    /// dropped on the poll thread.
    ///
    /// The call counts against the maximum number of streams until its last producer has returned,
    /// even if its client left earlier.
    ///
    /// The call's context keeps the client's address and headers for the producers, unless these
    /// streams are [without metadata](Streams::without_metadata).
    pub fn serve<T, F>(&self, ctx: &RpcContext<'_>, sink: ServerStreamingSink<T>, open: F)
    where
        T: Payload,
        F: FnOnce(&CallContext) -> Result<Jobs<T>, Status> + Send + 'static,
    {
        self.serve_call(ctx, sink, None, open);
    }

    /// As [`Streams::serve`], for encoded messages.
    pub(crate) fn serve_encoded<M, F>(
        &self,
        ctx: &RpcContext<'_>,
        sink: ServerStreamingSink<Encoded<M>>,
        open: F,
    ) where
        M: 'static,
        F: FnOnce(&CallContext) -> Result<Jobs<Encoded<M>>, Status> + Send + 'static,
    {
        let joining = self.is_framed.then_some(Encoded::JOINING);
        self.serve_call(ctx, sink, joining, open);
    }

    fn serve_call<T, F>(
        &self,
        ctx: &RpcContext<'_>,
        sink: ServerStreamingSink<T>,
        joining: Option<Joining<T>>,
        open: F,
    ) where
        T: Payload,
        F: FnOnce(&CallContext) -> Result<Jobs<T>, Status> + Send + 'static,
    {
        let capacity = self.shared.config.capacity;
        let (sender, messages) = bounded(capacity, T::encoded_len, joining);
        let workers = Workers::clone(&self.shared.workers);
        let call = Call::new(workers, self.context(ctx), sender, Box::new(open));
        let peer = self.peer(ctx);
        let observation = arrived(&self.shared.observer, ctx);
        match self.admit(ctx.method(), &call, peer) {
            Ok(admitted) => {
                let permit = Permit {
                    table: self.shared.table.clone(),
                    registration: admitted.registration,
                };
                match self.is_direct {
                    true => call.start_directly(permit),
                    false => call.start(permit),
                }
                // Without other streams, a yield of microseconds for the first message costs less
                // than a sleep and a wake-up.
                if admitted.is_alone && !self.is_direct {
                    yield_briefly();
                }
                let deadline = ctx.deadline();
                let writer = ResponseWriter::new(call, messages, sink, deadline, observation);
                ctx.spawn(writer);
            }
            Err((refusal, method)) => {
                let status = self.refuse_call(refusal, call.arrived(), method, observation);
                drop_caught((call, messages));
                ctx.spawn(sink.fail(status).map(|_| ()));
            }
        }
    }

    /// The context of a call that has just arrived.
    fn context(&self, ctx: &RpcContext<'_>) -> CallContext {
        let draining = self.shared.table.draining().clone();
        CallContext::new(ctx, draining, self.keeps_metadata)
    }

    /// Admits a call that the engine does not serve, such as a health check. Only the limits of its
    /// peer apply, and the call counts for its peer until the result is dropped.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if the peer has too many streams or exceeds its rate.
    pub fn admit_peer(&self, ctx: &RpcContext<'_>) -> Result<PeerPermit, RpcStatus> {
        let Some(peer) = self.peer(ctx) else {
            return Ok(PeerPermit(None));
        };
        let mut registry = self.shared.table.lock();
        match registry.admit_peer(Some(peer)) {
            Ok(peer) => Ok(PeerPermit(
                peer.map(|peer| (self.shared.table.clone(), peer)),
            )),
            Err(refusal) => {
                registry.count_refusal(refusal.reason());
                Err(refusal.status())
            }
        }
    }

    /// Registers a method, `/package.Service/Method`, before its first call, so that snapshots
    /// include it from the start.
    pub fn register_method(&self, method: &str) {
        self.shared.table.lock().methods.of(method.as_bytes());
    }

    /// The counters of all streams. Visits every open stream, which takes some 100 ns each; calls
    /// that begin or end meanwhile do not wait. Blocks while another snapshot is taken.
    pub fn snapshot(&self) -> StreamsSnapshot {
        let _one_at_a_time = self
            .shared
            .snapshots
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        self.shared.table.lock().begin_snapshot();
        loop {
            let mut registry = self.shared.table.lock();
            if let Some(methods) = registry.continue_snapshot() {
                return StreamsSnapshot {
                    methods,
                    refused: registry.refused(),
                };
            }
        }
    }

    /// Counts a call that was refused outside the engine, such as a call without a token. `reason`
    /// is a metrics label from a small set.
    pub fn count_refusal(&self, reason: &'static str) {
        self.shared.table.lock().count_refusal(reason);
    }

    /// The number of streams that count against the maximum: open streams, and streams that have
    /// ended for their client while a producer still blocks.
    pub fn open(&self) -> usize {
        self.shared.table.lock().len()
    }

    /// Refuses every new call with `status`. Open streams continue; [`CallContext::is_draining`]
    /// becomes true for them, [`CallContext::sleep`] returns, and [polled](super::Job::poll)
    /// producers that wait are asked again.
    pub fn refuse(&self, status: RpcStatus) {
        self.shared.table.refuse(status);
        // Those that came before it, since no further ones do.
        self.for_each_open(|stream| stream.drain());
    }

    /// Blocks until every stream has ended for its client, at most for `timeout`; false if some
    /// have not. Producers that still block do not count.
    pub fn wait_until_none(&self, timeout: Duration) -> bool {
        self.shared.table.wait_until_none(timeout)
    }

    /// Ends every open stream with `status`, without the messages in its channel; returns their
    /// number. A stream with a stalled reader stays open until its connection ends.
    pub fn abort_all(&self, status: &RpcStatus) -> usize {
        let mut aborted = 0;
        self.for_each_open(|stream| {
            aborted += 1;
            stream.terminate(Termination::Abort(status.clone()));
        });
        aborted
    }

    fn for_each_open(&self, mut visit: impl FnMut(Arc<dyn OpenStream>)) {
        let mut from = Some(0);
        while let Some(next) = from {
            let (streams, following) = self.shared.table.lock().open_batch(next);
            streams.into_iter().for_each(&mut visit);
            from = following;
        }
    }

    /// The peer of a call, only if a limit counts by peer: the C-core formats it as text for each
    /// call.
    fn peer(&self, ctx: &RpcContext<'_>) -> Option<Peer> {
        let limits = &self.shared.config.limits;
        limits.are_per_peer().then(|| Peer::of(&ctx.peer()))
    }

    fn admit<T: Payload>(
        &self,
        method: &[u8],
        call: &Arc<Call<T>>,
        peer: Option<Peer>,
    ) -> Result<Admitted, (Refusal, usize)> {
        let enforcer = self.shared.enforcer.as_ref();
        let ends = enforcer.and_then(|enforcer| enforcer.max_age_deadline());
        let mut registry = self.shared.table.lock();
        let method = registry.methods.of(method);
        registry.methods.get(method).started += 1;
        let admitted = registry.admit(self.shared.config.max_streams, peer);
        let peer = admitted.map_err(|refusal| (refusal, method))?;
        let registration = registry.add(call.clone(), method, ends, peer);
        if let Some(enforcer) = enforcer {
            enforcer.schedule(&self.shared.workers, &mut registry);
        }
        Ok(Admitted {
            registration,
            is_alone: registry.len() == 1,
        })
    }

    /// Reports a refused call; returns its status.
    fn refuse_call(
        &self,
        refusal: Refusal,
        arrived: Instant,
        method: usize,
        observation: Observation,
    ) -> RpcStatus {
        let reason = refusal.reason();
        let status = sendable(failure(refusal.status(), "a refusal"));
        let end = CallEnd {
            code: status.code(),
            counts: Counts::default(),
            lasted: arrived.elapsed(),
            subject: None,
            refused: Some(reason),
        };
        self.shared.table.lock().refuse(method, reason, &end);
        ended(observation, &end);
        status
    }
}

struct Admitted {
    registration: Registration,
    /// No other stream is registered.
    is_alone: bool,
}

/// The permit of a call, which counts for its peer until the permit is dropped. See
/// [`Streams::admit_peer`].
pub struct PeerPermit(Option<(Arc<StreamTable>, Peer)>);

impl Drop for PeerPermit {
    fn drop(&mut self) {
        if let Some((table, peer)) = self.0.take() {
            table.lock().release(Some(peer));
        }
    }
}

impl fmt::Debug for PeerPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerPermit(..)")
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("open", &self.open())
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}
