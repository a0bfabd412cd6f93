//! The open streams of a server: how many there may be, who they are, and how they end together.
//!
//! This is the engine's front door: a service hands each call to [`Streams::serve`]. What happens
//! in a call is the business of `call` and `drain`.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::FutureExt;
use grpcio::{RpcContext, RpcStatus, ServerStreamingSink};

use super::call::{Call, CallWatch};
use super::capacity::Capacity;
use super::channel::bounded_by_size;
use super::drain::Drain;
use super::ending::Ending;
use super::job::Jobs;
use super::limits::{Limits, Refusal};
use super::overseer::Overseer;
use super::peers::{Peer, Peers};
use super::registry::{Overseen, Place, Registry};
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
}

impl<T: Send + 'static> Overseen for Call<T> {
    fn ending(&self) -> &Ending {
        Call::ending(self)
    }
}

impl Streams {
    /// No streams yet; their producers will run on `workers`.
    pub fn new(workers: Workers, config: StreamsConfig) -> Streams {
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
        match self.admit(call.clone(), peer) {
            Ok(permit) => {
                call.start();
                ctx.spawn(Drain::new(call, messages, sink, permit));
            }
            Err(refusal) => ctx.spawn(sink.fail(refusal.status()).map(|_| ())),
        }
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

    fn admit(&self, call: Arc<dyn Overseen>, peer: Option<Peer>) -> Result<Permit, Refusal> {
        let overseer = self.0.overseer.as_ref();
        let ends = overseer.and_then(|overseer| overseer.ends());
        let mut open = self.lock();
        if let Some(status) = &open.refusal {
            return Err(Refusal::Draining(status.clone()));
        }
        let limit = self.0.config.max_streams;
        if open.len() >= limit {
            return Err(Refusal::Streams(limit));
        }
        let peer = match (&mut open.peers, peer) {
            (Some(peers), Some(peer)) => Some(peers.enter(peer, Instant::now())?),
            _ => None,
        };
        let place = open.add(call, ends, peer);
        if let Some(overseer) = overseer {
            overseer.send_for(&self.0.workers, &mut open);
        }
        drop(open);
        Ok(Permit {
            streams: self.0.clone(),
            place,
        })
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

/// The place of one call among the open streams; dropping it gives the place back.
struct Permit {
    streams: Arc<Shared>,
    place: Place,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        let call = open.remove(self.place);
        let none_left = open.len() == 0;
        drop(open);
        drop(call);
        if none_left {
            self.streams.idle.notify_all();
        }
    }
}
