//! The open streams of a server: how many there may be, who they are, and how they end together.
//!
//! This is the engine's front door: a service hands each call to [`Streams::serve`]. What happens
//! in a call is the business of `call` and `drain`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::FutureExt;
use grpcio::{RpcContext, RpcStatus, RpcStatusCode, ServerStreamingSink};

use super::call::Call;
use super::capacity::Capacity;
use super::channel::bounded_by_size;
use super::drain::Drain;
use super::job::Jobs;
use super::meter::{Counts, MethodMeter, Methods, StreamsSnapshot};
use super::observe::{CallEnd, Observed, Observer, Observers};
use super::watch::CallWatch;
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
    observer: Observers,
}

#[derive(Default)]
struct Open {
    calls: HashMap<u64, OpenCall>,
    next_id: u64,
    /// What new calls are told, once the server drains.
    refusal: Option<RpcStatus>,
    methods: Methods,
    /// Calls that were refused, by reason.
    refused: BTreeMap<&'static str, u64>,
}

struct OpenCall {
    call: Arc<dyn AnyCall>,
    /// Its place among [`Open::methods`].
    method: usize,
}

/// A call of whatever message type.
trait AnyCall: Send + Sync {
    fn abort(&self, status: RpcStatus);

    fn counts(&self) -> Counts;

    /// How it ended; to be asked when it has.
    fn end(&self) -> CallEnd;
}

impl<T: Send + 'static> AnyCall for Call<T> {
    fn abort(&self, status: RpcStatus) {
        Call::abort(self, status);
    }

    fn counts(&self) -> Counts {
        Call::counts(self)
    }

    fn end(&self) -> CallEnd {
        CallEnd {
            code: self.code(),
            counts: Call::counts(self),
            lasted: self.arrived().elapsed(),
            subject: self.watch().subject(),
            refused: None,
        }
    }
}

/// Why a call was refused, and what it is told.
struct Refusal {
    reason: &'static str,
    status: RpcStatus,
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
        Streams(Arc::new(Shared {
            workers,
            config,
            open: Mutex::default(),
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
        let observed = self.0.observer.as_ref().map(|o| o.arrived(ctx));
        match self.admit(ctx.method(), &call, observed) {
            Ok((permit, meter)) => {
                call.start();
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
        let open = self.lock();
        let mut methods = open.methods.snapshot();
        for OpenCall { call, method } in open.calls.values() {
            methods[*method].add_open(&call.counts());
        }
        let refused = open.refused.iter().map(|(why, n)| (*why, *n)).collect();
        StreamsSnapshot { methods, refused }
    }

    /// Counts a call that was refused, here or before it came here, such as one without a token.
    /// `reason` is a label: one of a few words.
    pub fn count_refusal(&self, reason: &'static str) {
        *self.lock().refused.entry(reason).or_default() += 1;
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
        let open = self.lock();
        let calls: Vec<_> = open.calls.values().map(|o| o.call.clone()).collect();
        drop(open);
        calls.iter().for_each(|call| call.abort(status.clone()));
        calls.len()
    }

    fn admit<T: Send + 'static>(
        &self,
        method: &[u8],
        call: &Arc<Call<T>>,
        observed: Option<Box<dyn Observed>>,
    ) -> Result<(Permit, Arc<MethodMeter>), RpcStatus> {
        let mut open = self.lock();
        let (place, meter) = open.methods.of(method);
        meter.started();
        if let Err(Refusal { reason, status }) = self.allow(&open) {
            drop(open);
            self.count_refusal(reason);
            let mut end = AnyCall::end(&**call);
            end.code = status.code();
            end.refused = Some(reason);
            meter.handled(end.code, &end.counts, end.lasted);
            if let Some(observed) = observed {
                observed.ended(&end);
            }
            return Err(status);
        }
        let id = open.next_id;
        open.next_id += 1;
        let entry = OpenCall {
            call: call.clone(),
            method: place,
        };
        open.calls.insert(id, entry);
        drop(open);
        let permit = Permit {
            streams: self.0.clone(),
            id,
            meter: meter.clone(),
            observed,
        };
        Ok((permit, meter))
    }

    /// Whether another call may come in now.
    fn allow(&self, open: &Open) -> Result<(), Refusal> {
        if let Some(status) = &open.refusal {
            return Err(Refusal {
                reason: "draining",
                status: status.clone(),
            });
        }
        let limit = self.0.config.max_streams;
        if open.calls.len() >= limit {
            let message = format!("{limit} streams are open, which is the limit; try again later");
            let code = RpcStatusCode::RESOURCE_EXHAUSTED;
            return Err(Refusal {
                reason: "max_streams",
                status: RpcStatus::with_message(code, message),
            });
        }
        Ok(())
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
    meter: Arc<MethodMeter>,
    observed: Option<Box<dyn Observed>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        let removed = open.calls.remove(&self.id);
        let end = removed.as_ref().map(|open| open.call.end());
        if let Some(end) = &end {
            // Under the lock: a snapshot sees its counts here or with the open ones.
            self.meter.handled(end.code, &end.counts, end.lasted);
        }
        let none_left = open.calls.is_empty();
        drop(open);
        drop(removed);
        if let (Some(observed), Some(end)) = (self.observed.take(), end) {
            observed.ended(&end);
        }
        if none_left {
            self.streams.idle.notify_all();
        }
    }
}
