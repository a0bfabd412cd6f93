//! The limits of a server's streams, beyond their number: by peer, by age, by stalled readers.
//!
//! `registry` keeps the streams and admits new ones, `peers` counts by peer, and `enforcer` ends
//! streams that are too old or whose readers stall.

mod enforcer;
mod peers;
mod registry;
#[cfg(test)]
mod registry_tests;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use grpcio::{RpcStatus, RpcStatusCode};
use humantime::format_duration;

use super::stats::{CallEnd, MethodMetrics};
pub(super) use enforcer::LimitEnforcer;
pub(crate) use peers::Peer;
pub(super) use peers::Peers;
pub(super) use registry::{OpenStream, Registration, Registry};

/// Limits of a server's streams; `None` is no limit, and costs nothing.
///
/// A peer is an IPv4 address, or the /64 of an IPv6 address: a provider gives one customer that many
/// addresses, and they would otherwise be as many peers. All clients over Unix-domain sockets are one
/// peer, and so are all clients behind one proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most streams open at once of one peer; a call beyond them ends with RESOURCE_EXHAUSTED
    /// at once.
    pub max_streams_per_peer: Option<u32>,
    /// The most calls of one peer in a time; a call beyond them ends with RESOURCE_EXHAUSTED at once.
    pub rate_per_peer: Option<Rate>,
    /// The longest life of a stream, give or take a tenth by chance, so that streams that began
    /// together do not end together. An older stream makes no more responses; its reader gets those
    /// that were made, then UNAVAILABLE. A reader that has not read them after 5 s more is cut off.
    pub max_stream_age: Option<Duration>,
    /// How long a reader may take none of the messages that wait for it. After that, or up to a
    /// quarter later, its stream ends with UNAVAILABLE; a reader that does not even read this within an
    /// eighth of the timeout is cut off.
    pub write_stall_timeout: Option<Duration>,
}

impl Limits {
    /// True when a limit counts by peer.
    pub(super) fn are_per_peer(&self) -> bool {
        self.max_streams_per_peer.is_some() || self.rate_per_peer.is_some()
    }
}

/// A number of calls in a time, on average, and how many of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls in `per`. At least 1.
    pub calls: u32,
    /// The time.
    pub per: Duration,
    /// The most calls at once of a peer that made none for a while. At least 1.
    pub burst: u32,
}

impl Rate {
    /// This many calls a second, and as many at once.
    pub fn per_second(calls: u32) -> Rate {
        Rate {
            calls,
            per: Duration::from_secs(1),
            burst: calls,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls per {}", self.calls, format_duration(self.per))
    }
}

/// Why a call is not served.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The server drains, and answers with this.
    Draining(RpcStatus),
    /// As many streams are open as may be.
    Streams(usize),
    /// As many streams of the peer are open as may be.
    StreamsOfPeer(u32),
    /// The peer calls more often than it may.
    RateOfPeer(Rate),
}

impl Refusal {
    /// The reason as a metrics label.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Refusal::Draining(_) => "draining",
            Refusal::Streams(_) => "max_streams",
            Refusal::StreamsOfPeer(_) => "max_streams_per_peer",
            Refusal::RateOfPeer(_) => "rate_per_peer",
        }
    }

    /// The status of the refused call.
    pub(super) fn status(self) -> RpcStatus {
        let message = match self {
            Refusal::Draining(status) => return status,
            Refusal::Streams(limit) => {
                format!("{limit} streams are open, which is the limit; try again later")
            }
            Refusal::StreamsOfPeer(limit) => format!(
                "{limit} streams of this peer are open, which is the limit; try again later"
            ),
            Refusal::RateOfPeer(rate) => {
                format!(
                    "this peer calls more often than {rate}, which is the limit; try again later"
                )
            }
        };
        RpcStatus::with_message(RpcStatusCode::RESOURCE_EXHAUSTED, message)
    }
}

/// The streams of a server, and what waits for the last one. Shared by the calls, the enforcer and
/// the server.
pub(super) struct StreamTable {
    registry: Mutex<Registry>,
    /// Notified when the last open stream ends.
    none_open: Condvar,
    /// New calls are refused. The context of each call has it.
    draining: Arc<AtomicBool>,
}

impl StreamTable {
    pub(super) fn new(limits: &Limits) -> Arc<StreamTable> {
        let peers = limits.are_per_peer().then(|| Peers::new(limits));
        Arc::new(StreamTable {
            registry: Mutex::new(Registry::new(peers)),
            none_open: Condvar::new(),
            draining: Arc::default(),
        })
    }

    /// Refuses every new call with `status`.
    pub(super) fn refuse(&self, status: RpcStatus) {
        self.lock().refusal = Some(status);
        self.draining.store(true, Ordering::Release);
    }

    pub(super) fn draining(&self) -> &Arc<AtomicBool> {
        &self.draining
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Registry> {
        // No code of a user runs under the lock, so a poisoned registry is whole.
        self.registry.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The stream has ended for its client.
    pub(super) fn end(&self, registration: &Registration, metrics: &MethodMetrics, end: &CallEnd) {
        let mut registry = self.lock();
        registry.end(registration, metrics, end);
        let is_last = registry.open() == 0;
        drop(registry);
        if is_last {
            self.none_open.notify_all();
        }
    }

    /// Blocks until no stream is open, at most for `timeout`; false when some still are.
    pub(super) fn wait_until_none(&self, timeout: Duration) -> bool {
        let wait = |registry| {
            self.none_open
                .wait_timeout_while(registry, timeout, |registry: &mut Registry| {
                    registry.open() > 0
                })
        };
        let (registry, _) = wait(self.lock()).unwrap_or_else(|e| e.into_inner());
        registry.open() == 0
    }
}

/// The place of one call among the streams; dropping it frees the place.
pub(super) struct Permit {
    pub(super) table: Arc<StreamTable>,
    pub(super) registration: Registration,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let stream = self.table.lock().remove(&self.registration);
        // Outside the lock: it may be the last reference.
        drop(stream);
    }
}
