//! A producer's view of its call. It knows nothing of jobs or channels.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use grpcio::{Metadata, RpcContext};

use super::super::status::has_metadata;
use super::deadline::instant_of;
use super::sleepers::Sleepers;

/// The context of the call that a producer works for. Clones refer to the same call and may be used
/// on any thread. No method blocks, except [`CallContext::sleep`].
///
/// A context that outlives its call keeps only the call's metadata alive. The default context
/// belongs to no call: it has no deadline and no metadata, and is never over.
#[derive(Clone, Default)]
pub struct CallContext(Arc<Shared>);

// One for each open call, so keep it small.
#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// The headers leave before the first message.
    sends_headers: AtomicBool,
    sleepers: Sleepers,
    subject: OnceLock<Arc<str>>,
    deadline: Option<Instant>,
    /// Shared by all calls of the server.
    draining: Arc<AtomicBool>,
    /// `None` without metadata.
    metadata: Option<Box<RequestMetadata>>,
    /// Set once: by a producer, or to `None` when the first message leaves.
    response_headers: OnceLock<Option<Box<Metadata>>>,
    /// Set once: by a producer, or to `None` when the status leaves.
    response_trailers: OnceLock<Option<Box<Metadata>>>,
}

struct RequestMetadata {
    peer: String,
    headers: Metadata,
}

impl CallContext {
    /// The context of a call that has just arrived.
    pub(in crate::engine) fn new(
        ctx: &RpcContext<'_>,
        draining: Arc<AtomicBool>,
        keeps_metadata: bool,
    ) -> CallContext {
        let metadata = keeps_metadata.then(|| {
            Box::new(RequestMetadata {
                peer: ctx.peer(),
                headers: ctx.request_headers().clone(),
            })
        });
        CallContext(Arc::new(Shared {
            deadline: instant_of(ctx.deadline()),
            draining,
            metadata,
            ..Shared::default()
        }))
    }

    /// True once no response can reach the client any more. A producer that works long in `next`
    /// should check it and stop early.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }

    /// The time until the client's deadline, zero once it has passed; `None` if the client set
    /// none. A client may round its timeout up before it sends it: the C-core makes 101 s of 100 s.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.0.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// True once the server drains: [`Streams::refuse`](crate::engine::Streams::refuse) was called.
    /// A long stream should end within the server's grace period, and may send its client a point
    /// to resume from.
    #[inline]
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }

    /// Blocks for `duration`; returns true then. Returns false as soon as the call is
    /// [over](CallContext::is_over) or the server [drains](CallContext::is_draining), and at once if
    /// so already. For code on a worker, or on a thread of its own; [`Job::poll`](super::Job::poll)
    /// waits without a thread.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanstream::engine::{CallContext, Job, StreamSender};
    ///
    /// fn clock(call: &CallContext) -> Job<&'static str> {
    ///     let call = call.clone();
    ///     Job::push(move |sender: StreamSender<&'static str>| {
    ///         while call.sleep(Duration::from_secs(1)) {
    ///             sender.send("tick")?;
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// # drop(clock(&CallContext::default()));
    /// ```
    #[must_use = "false asks the producer to end"]
    pub fn sleep(&self, duration: Duration) -> bool {
        let ends = || self.is_over() || self.is_draining();
        self.0.sleepers.sleep(duration, ends)
    }

    /// The server drains: lets its sleepers notice.
    pub(super) fn wake_sleepers(&self) {
        self.0.sleepers.wake();
    }

    /// The address of the client in the C-core's words, such as `ipv4:192.0.2.1:4321`. `None` when
    /// the call was served [without metadata](crate::engine::Streams::without_metadata).
    pub fn peer(&self) -> Option<&str> {
        self.0.metadata.as_ref().map(|m| m.peer.as_str())
    }

    /// The headers of the request. `None` when the call was served
    /// [without metadata](crate::engine::Streams::without_metadata).
    pub fn headers(&self) -> Option<&Metadata> {
        self.0.metadata.as_ref().map(|m| &m.headers)
    }

    /// Sets the headers of the response; by default it has none. They are sent with the first
    /// message, or with the status of a call without one. The latter needs the patches in
    /// scripts/ccore.
    ///
    /// Only the first call has an effect. Returns false, without effect, after an earlier call,
    /// after the first message, or after the end of the call. The function that opens the call is
    /// always in time.
    pub fn set_response_headers(&self, headers: Metadata) -> bool {
        self.0.response_headers.set(Some(Box::new(headers))).is_ok()
    }

    /// As [`CallContext::set_response_headers`], and sends them at once when the function that opens
    /// the call has returned its jobs, so that a client has them before the first message. In a
    /// producer it does no more than the other.
    ///
    /// A server that compresses responses, has services of generated code, or whose C-core lacks the
    /// patches in scripts/ccore, sends them with the first message all the same.
    pub fn send_response_headers(&self, headers: Metadata) -> bool {
        let is_set = self.set_response_headers(headers);
        self.0.sends_headers.store(is_set, Ordering::Relaxed);
        is_set
    }

    /// Whether the headers should leave now. False the second time.
    pub(in crate::engine) fn take_early_headers(&self) -> bool {
        let sends = &self.0.sends_headers;
        sends.load(Ordering::Relaxed) && sends.swap(false, Ordering::Relaxed)
    }

    /// The headers to send. Later headers are refused.
    pub(in crate::engine) fn seal_response_headers(&self) -> Option<&Metadata> {
        let headers = self.0.response_headers.get_or_init(|| None);
        headers.as_deref()
    }

    /// Sets the trailers of the response, which are sent after its status; by default it has none.
    /// Entries that gRPC sets itself (`grpc-status` and others that begin with `grpc-`) are left
    /// out. Clients take 8 KiB of trailers altogether, some 1 KiB beside a long status.
    ///
    /// Only the first call has an effect. Returns false, without effect, after an earlier call or
    /// the end of the call, and where the C-core lacks the patches in scripts/ccore.
    pub fn set_response_trailers(&self, trailers: Metadata) -> bool {
        has_metadata()
            && self
                .0
                .response_trailers
                .set(Some(Box::new(trailers)))
                .is_ok()
    }

    /// The trailers to send. Later trailers are refused.
    pub(in crate::engine) fn seal_response_trailers(&self) -> Option<&Metadata> {
        let trailers = self.0.response_trailers.get_or_init(|| None);
        trailers.as_deref()
    }

    /// Sets the subject of the call, a text for logs and traces, such as the name or the id in its
    /// request. Only the first call has an effect.
    pub fn set_subject(&self, subject: impl Into<Arc<str>>) {
        let _ = self.0.subject.set(subject.into());
    }

    pub(in crate::engine) fn subject(&self) -> Option<Arc<str>> {
        self.0.subject.get().cloned()
    }

    /// Marks the call as over. True if it was over before.
    pub(in crate::engine) fn set_over(&self) -> bool {
        let _too_late_from_now = self.0.response_headers.set(None);
        let _too_late_from_now = self.0.response_trailers.set(None);
        let was_over = self.0.over.swap(true, Ordering::AcqRel);
        self.wake_sleepers();
        was_over
    }
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext")
            .field("over", &self.is_over())
            .field("subject", &self.subject())
            .field("time_left", &self.time_left())
            .field("draining", &self.is_draining())
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}
