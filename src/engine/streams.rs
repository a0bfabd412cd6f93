//! The open streams of a server: how many there may be, who they are, and how they end together.
//!
//! This is the engine's front door: a service hands each call to [`Streams::serve`]. What happens
//! in a call is the business of `call` and `drain`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::FutureExt;
use grpcio::{RpcContext, RpcStatus, RpcStatusCode, ServerStreamingSink};

use super::call::{Call, CallWatch};
use super::capacity::Capacity;
use super::channel::bounded_by_size;
use super::drain::Drain;
use super::job::Jobs;
use super::workers::Workers;

/// What all streams of a server share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsConfig {
    /// The channel of each call.
    pub capacity: Capacity,
    /// The most streams open at once; a call beyond them ends with RESOURCE_EXHAUSTED at once.
    pub max_streams: usize,
}

impl Default for StreamsConfig {
    /// The default [`Capacity`]; 100,000 streams.
    fn default() -> StreamsConfig {
        StreamsConfig {
            capacity: Capacity::default(),
            max_streams: 100_000,
        }
    }
}

/// The open streams of a server; clones are the same.
#[derive(Clone)]
pub struct Streams(Arc<Shared>);

struct Shared {
    workers: Workers,
    config: StreamsConfig,
    open: Mutex<Open>,
    /// Told when the last stream of a draining server ends.
    idle: Condvar,
}

#[derive(Default)]
struct Open {
    calls: HashMap<u64, Arc<dyn Abort>>,
    next_id: u64,
    /// What new calls are told, once the server drains.
    refusal: Option<RpcStatus>,
}

/// A call of whatever message type.
trait Abort: Send + Sync {
    fn abort(&self, status: RpcStatus);
}

impl<T: Send + 'static> Abort for Call<T> {
    fn abort(&self, status: RpcStatus) {
        Call::abort(self, status);
    }
}

impl Streams {
    /// No streams yet; their producers will run on `workers`.
    pub fn new(workers: Workers, config: StreamsConfig) -> Streams {
        Streams(Arc::new(Shared {
            workers,
            config,
            open: Mutex::default(),
            idle: Condvar::new(),
        }))
    }

    /// Serves a call: `open` turns the request, which it holds, into jobs, and what their
    /// producers make goes to the client, as it comes.
    ///
    /// Returns at once. `open` and the producers run on worker threads and may block. The call
    /// ends with OK when all producers have ended; with the first failure of `open` or of a
    /// producer, after what was made before it; with INTERNAL when one panics; with
    /// RESOURCE_EXHAUSTED at once when too many streams are open; with UNAVAILABLE when the server
    /// drains.
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
        let call = Call::new(self.0.workers.clone(), sender, Box::new(open));
        match self.admit(call.clone()) {
            Ok(permit) => {
                call.start();
                ctx.spawn(Drain::new(call, messages, sink, permit));
            }
            Err(status) => ctx.spawn(sink.fail(status).map(|_| ())),
        }
    }

    /// Streams open now.
    pub fn open(&self) -> usize {
        self.lock().calls.len()
    }

    /// From now on every new call ends with `status`; open streams go on.
    pub fn refuse(&self, status: RpcStatus) {
        self.lock().refusal = Some(status);
    }

    /// Blocks until no stream is open, at most for `timeout`; false when some still are.
    pub fn wait_until_none(&self, timeout: Duration) -> bool {
        let deadline = Instant::now().checked_add(timeout);
        let mut open = self.lock();
        while !open.calls.is_empty() {
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
        let calls: Vec<_> = self.lock().calls.values().cloned().collect();
        calls.iter().for_each(|call| call.abort(status.clone()));
        calls.len()
    }

    fn admit(&self, call: Arc<dyn Abort>) -> Result<Permit, RpcStatus> {
        let mut open = self.lock();
        if let Some(refusal) = &open.refusal {
            return Err(refusal.clone());
        }
        let limit = self.0.config.max_streams;
        if open.calls.len() >= limit {
            let message = format!("{limit} streams are open, which is the limit; try again later");
            let code = RpcStatusCode::RESOURCE_EXHAUSTED;
            return Err(RpcStatus::with_message(code, message));
        }
        let id = open.next_id;
        open.next_id += 1;
        open.calls.insert(id, call);
        drop(open);
        Ok(Permit {
            streams: self.0.clone(),
            id,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Open> {
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
    id: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        let call = open.calls.remove(&self.id);
        let none_left = open.calls.is_empty();
        drop(open);
        drop(call);
        if none_left {
            self.streams.idle.notify_all();
        }
    }
}
