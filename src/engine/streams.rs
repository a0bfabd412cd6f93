//! The open streams of a server: how many there may be, who they are, and how they end together.
//!
//! This is the engine's front door: a service hands each call to [`Streams::serve`]. What happens
//! in a call is the business of `call` and `drain`.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::FutureExt;
use grpcio::{RpcContext, RpcStatus, ServerStreamingSink};

use super::call::Call;
use super::capacity::Capacity;
use super::channel::bounded_by_size;
use super::drain::Drain;
use super::job::Jobs;
use super::limits::{Limits, Refusal};
use super::linger::linger;
use super::meter::{MethodMeter, StreamsSnapshot};
use super::observe::{Observed, Observer, Observers};
use super::overseer::Overseer;
use super::peers::{Peer, Peers};
use super::registry::{Overseen, Place, Registry};
use super::watch::CallWatch;
use super::workers::Workers;

/// What all streams of a server share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsConfig {
    /// The channel of each call.
    pub capacity: Capacity,
    /// The most streams open at once; a call beyond them ends with RESOURCE_EXHAUSTED at once.
    pub max_streams: usize,
    /// Further limits, which there are only when they are set.
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

/// The open streams of a server; clones are the same.
#[derive(Clone)]
pub struct Streams(Arc<Shared>);

struct Shared {
    workers: Arc<Workers>,
    config: StreamsConfig,
    open: Arc<Mutex<Registry>>,
    /// Told when the last stream of a draining server ends.
    idle: Condvar,
    /// `None` where no limit needs one.
    overseer: Option<Arc<Overseer>>,
    observer: Observers,
}

impl Streams {
    /// No streams yet; their producers will run on `workers`.
    pub fn new(workers: Workers, config: StreamsConfig) -> Streams {
        Streams::with_observer(workers, config, None)
    }

    /// As [`Streams::new`], with somebody who is told of every call.
    pub fn with_observer(
        workers: Workers,
        config: StreamsConfig,
        observer: Option<Arc<dyn Observer>>,
    ) -> Streams {
        let limits = &config.limits;
        let peers = || Peers::new(limits, Instant::now());
        let peers = limits.are_per_peer().then(peers);
        let open = Arc::new(Mutex::new(Registry::new(peers)));
        let workers = Arc::new(workers);
        Streams(Arc::new(Shared {
            overseer: Overseer::new(limits, &workers, open.clone()),
            workers,
            config,
            open,
            idle: Condvar::new(),
            observer,
        }))
    }

    /// Serves a call: `open` turns the request, which it holds, into jobs, and what their
    /// producers make goes to the client, as it comes.
    ///
    /// Returns at once. `open` and the producers run on worker threads and may block. The call
    /// ends with OK when all producers have ended; with the first failure of `open` or of a
    /// producer, after what was made before it; with INTERNAL when one panics; with
    /// RESOURCE_EXHAUSTED at once when too many streams are open, or as another of the [`Limits`]
    /// has it; with UNAVAILABLE when the server drains.
    pub fn serve<T, F>(&self, ctx: &RpcContext<'_>, sink: ServerStreamingSink<T>, open: F)
    where
        T: Send + 'static,
        F: FnOnce(&CallWatch) -> Result<Jobs<T>, RpcStatus> + Send + 'static,
    {
        self.serve_sized(ctx, sink, |_| 0, open);
    }

    /// As [`Streams::serve`], with the size in bytes of a message as `size` tells it, so that the
    /// channel is bounded in bytes too ([`Capacity::bytes`]).
    pub fn serve_sized<T, F>(
        &self,
        ctx: &RpcContext<'_>,
        sink: ServerStreamingSink<T>,
        size: fn(&T) -> usize,
        open: F,
    ) where
        T: Send + 'static,
        F: FnOnce(&CallWatch) -> Result<Jobs<T>, RpcStatus> + Send + 'static,
    {
        let (sender, messages) = bounded_by_size(self.0.config.capacity, size);
        let call = Call::new(Workers::clone(&self.0.workers), sender, Box::new(open));
        // A text is made for it, so it is only asked for where it matters.
        let limits = &self.0.config.limits;
        let peer = limits.are_per_peer().then(|| Peer::of(&ctx.peer()));
        let observed = self.0.observer.as_ref().map(|o| o.arrived(ctx));
        match self.admit(ctx.method(), call.clone(), peer, observed) {
            Ok((permit, meter)) => {
                call.start();
                // With nothing else to do, a wait of microseconds for the first message is shorter
                // than going to sleep and being woken for it.
                if permit.alone {
                    linger();
                }
                let deadline = ctx.deadline();
                ctx.spawn(Drain::new(call, messages, sink, permit, deadline, meter));
            }
            Err(status) => ctx.spawn(sink.fail(status).map(|_| ())),
        }
    }

    /// Names a method, `/package.Service/Method`, before its first call, so that its counts are
    /// there from the start.
    pub fn introduce(&self, method: &str) {
        self.lock().methods.of(method.as_bytes());
    }

    /// What there is to count, at this moment. Looks at every open stream, which takes some 100 ns
    /// each; calls that begin or end meanwhile wait for it.
    pub fn snapshot(&self) -> StreamsSnapshot {
        self.lock().snapshot()
    }

    /// Counts a call that was refused, here or before it came here, such as one without a token.
    /// `reason` is a label: one of a few words.
    pub fn count_refusal(&self, reason: &'static str) {
        self.lock().count_refusal(reason);
    }

    /// Streams open now.
    pub fn open(&self) -> usize {
        self.lock().len()
    }

    /// From now on every new call ends with `status`; open streams go on.
    pub fn refuse(&self, status: RpcStatus) {
        self.lock().refusal = Some(status);
    }

    /// Blocks until no stream is open, at most for `timeout`; false when some still are.
    pub fn wait_until_none(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut open = self.lock();
        while open.len() > 0 {
            open = match deadline.map(|d| d.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => return false,
                Some(left) => {
                    let woken = self.0.idle.wait_timeout(open, left);
                    woken.unwrap_or_else(|e| e.into_inner()).0
                }
                None => self.0.idle.wait(open).unwrap_or_else(|e| e.into_inner()),
            };
        }
        true
    }

    /// Ends every open stream with `status`, without what its channel still holds; returns how
    /// many there were. A stream whose reader does not read stays open until its connection goes.
    pub fn abort_all(&self, status: &RpcStatus) -> usize {
        let calls = self.lock().all();
        let abort = |call: &Arc<dyn Overseen>| call.ending().abort(status.clone());
        calls.iter().for_each(abort);
        calls.len()
    }

    fn admit(
        &self,
        method: &[u8],
        call: Arc<dyn Overseen>,
        peer: Option<Peer>,
        observed: Option<Box<dyn Observed>>,
    ) -> Result<(Permit, Arc<MethodMeter>), RpcStatus> {
        let overseer = self.0.overseer.as_ref();
        let ends = overseer.and_then(|overseer| overseer.ends());
        let mut open = self.lock();
        let (index, meter) = open.methods.of(method);
        meter.started();
        let peer = match open.enter(self.0.config.max_streams, peer) {
            Ok(peer) => peer,
            Err(refusal) => {
                open.count_refusal(refusal.reason());
                drop(open);
                return Err(refused(refusal, &*call, &meter, observed));
            }
        };
        let place = open.add(call, index, ends, peer);
        if let Some(overseer) = overseer {
            overseer.send_for(&self.0.workers, &mut open);
        }
        let alone = open.len() == 1;
        drop(open);
        let permit = Permit {
            streams: self.0.clone(),
            place,
            meter: meter.clone(),
            observed,
            alone,
        };
        Ok((permit, meter))
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.open.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams")
            .field("open", &self.open())
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

/// Counts and tells of a call that is not served; returns what it ends with.
fn refused(
    refusal: Refusal,
    call: &dyn Overseen,
    meter: &MethodMeter,
    observed: Option<Box<dyn Observed>>,
) -> RpcStatus {
    let mut end = call.end();
    end.refused = Some(refusal.reason());
    let status = refusal.status();
    end.code = status.code();
    meter.handled(end.code, &end.counts, end.lasted);
    if let Some(observed) = observed {
        observed.ended(&end);
    }
    status
}

/// The place of one call among the open streams; dropping it gives the place back.
struct Permit {
    streams: Arc<Shared>,
    place: Place,
    meter: Arc<MethodMeter>,
    observed: Option<Box<dyn Observed>>,
    /// It was the only one when it began.
    alone: bool,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        let call = open.remove(self.place);
        let end = call.as_ref().map(|call| call.end());
        if let Some(end) = &end {
            // Under the lock: a snapshot sees its counts here or with the open ones.
            self.meter.handled(end.code, &end.counts, end.lasted);
        }
        let none_left = open.len() == 0;
        drop(open);
        drop(call);
        if let (Some(observed), Some(end)) = (self.observed.take(), end) {
            observed.ended(&end);
        }
        if none_left {
            self.streams.idle.notify_all();
        }
    }
}
