//! Call counters: of each open call, and sums by method over ended calls. It knows nothing of
//! metrics formats.
//!
//! Each counter of a call has one writer and is written without atomic read-modify-writes, so
//! counting costs a message nothing. A reader adds up the open calls; see
//! [`Streams::snapshot`](super::Streams::snapshot).

mod histogram;
mod observer;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use grpcio::RpcStatusCode;

pub use histogram::{HistogramSnapshot, BOUNDS};
pub use observer::{CallEnd, CallObserver, Observer};

pub(super) use observer::{arrived, ended, Observation, Observers};

/// The status codes of gRPC, 0 (OK) to 16 (UNAUTHENTICATED).
pub const CODES: usize = 17;

/// The counters of one call. Aligned, so that the response writer's stores do not invalidate cache
/// lines of the workers.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct CallCounters {
    /// Written by the response writer alone.
    messages: AtomicU64,
    /// Written by the response writer alone.
    bytes: AtomicU64,
    /// The time of the first message at the sink, in nanoseconds since the call's arrival; 0
    /// before. Written by the response writer alone.
    first: AtomicU64,
    /// Written under the lock of the call.
    stalls: AtomicU64,
    /// Written under the lock of the call.
    parked: AtomicUsize,
}

impl CallCounters {
    /// Counts messages of `bytes` bytes altogether at the sink.
    #[inline]
    pub(super) fn sent(&self, messages: u64, bytes: u64) {
        add(&self.messages, messages);
        add(&self.bytes, bytes);
    }

    /// Takes back the last [`CallCounters::sent`]: the messages were not sent.
    pub(super) fn not_sent(&self, messages: u64, bytes: u64) {
        let less = |counter: &AtomicU64, n| {
            let before = counter.load(Ordering::Relaxed);
            counter.store(before.saturating_sub(n), Ordering::Relaxed);
        };
        less(&self.messages, messages);
        less(&self.bytes, bytes);
    }

    pub(super) fn first_after(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.first.store(nanoseconds.max(1), Ordering::Relaxed);
    }

    /// Counts a stall: a producer found the channel full. Now `parked` producers are parked.
    pub(super) fn stalled(&self, parked: usize) {
        self.set_parked(parked);
        add(&self.stalls, 1);
    }

    /// Sets the number of parked producers.
    pub(super) fn set_parked(&self, parked: usize) {
        self.parked.store(parked, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        let first = self.first.load(Ordering::Relaxed);
        Counts {
            messages: self.messages.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            stalls: self.stalls.load(Ordering::Relaxed),
            parked: self.parked.load(Ordering::Relaxed),
            slots: 0,
            first_after: (first > 0).then(|| Duration::from_nanos(first)),
        }
    }
}

/// For a single writer: a plain load and store.
#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

/// The counters of one call at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Messages handed to the sink.
    pub messages: u64,
    /// Their bytes, encoded.
    pub bytes: u64,
    /// The number of times that a producer found the channel full and had to wait, because the
    /// reader is slower.
    pub stalls: u64,
    /// Producers that wait for a free slot in the channel now.
    pub parked: usize,
    /// Taken slots of the channel; see [`Capacity`](super::Capacity).
    pub slots: usize,
    /// From the call's arrival to its first message; `None` before that.
    pub first_after: Option<Duration>,
}

/// The methods seen so far: at most the server's registered methods, so the list is short. They
/// count ended calls; a snapshot adds the open ones.
#[derive(Debug, Default)]
pub(super) struct Methods(Vec<MethodSnapshot>);

impl Methods {
    /// The index of a method, also in [`Methods::snapshot`].
    pub(super) fn of(&mut self, name: &[u8]) -> usize {
        let known = self.0.iter().position(|m| m.name.as_bytes() == name);
        known.unwrap_or_else(|| {
            self.0.push(MethodSnapshot {
                name: String::from_utf8_lossy(name).into_owned(),
                ..MethodSnapshot::default()
            });
            self.0.len() - 1
        })
    }

    pub(super) fn get(&mut self, index: usize) -> &mut MethodSnapshot {
        &mut self.0[index]
    }

    pub(super) fn snapshot(&self) -> Vec<MethodSnapshot> {
        self.0.clone()
    }
}

/// The calls of one method. Counts never go down from one snapshot to the next.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MethodSnapshot {
    /// `/package.Service/Method`.
    pub name: String,
    /// Calls that arrived, refused ones included.
    pub started: u64,
    /// Calls that ended, by status code.
    pub handled: [u64; CODES],
    /// Messages handed to the sinks, including those of open calls.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// See [`Counts::stalls`].
    pub stalls: u64,
    /// Calls that have not ended for their client.
    pub open: usize,
    /// Calls that have ended for their client while a producer still blocks. They count against the
    /// maximum number of streams until the producer returns.
    pub lingering: usize,
    /// Producers that wait for a free slot in their channels now.
    pub parked: usize,
    /// Slots taken in all channels now.
    pub slots: usize,
    /// From a call's arrival to its first message.
    pub first: HistogramSnapshot,
    /// From a call's arrival to its end.
    pub handling: HistogramSnapshot,
}

impl MethodSnapshot {
    /// Adds an ended call.
    pub(super) fn add_ended(&mut self, code: RpcStatusCode, counts: &Counts, lasted: Duration) {
        // gRPC treats an unknown code as UNKNOWN.
        let code = usize::try_from(i32::from(code)).unwrap_or(CODES);
        self.handled[if code < CODES { code } else { 2 }] += 1;
        self.handling.record(lasted);
        self.add(counts);
    }

    /// Adds an open call.
    pub(super) fn add_open(&mut self, counts: &Counts) {
        self.open += 1;
        self.parked += counts.parked;
        self.slots += counts.slots;
        self.add(counts);
    }

    fn add(&mut self, counts: &Counts) {
        self.messages += counts.messages;
        self.bytes += counts.bytes;
        self.stalls += counts.stalls;
        if let Some(after) = counts.first_after {
            self.first.record(after);
        }
    }
}

/// The streams of a server.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StreamsSnapshot {
    /// By method.
    pub methods: Vec<MethodSnapshot>,
    /// Refused calls, by reason.
    pub refused: Vec<(&'static str, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_known_by_its_name() {
        let mut methods = Methods::default();
        let indices = [b"/p.S/A", b"/p.S/B", b"/p.S/A"].map(|name| methods.of(name));
        assert_eq!(indices, [0, 1, 0]);
        methods.get(0).started += 1;
        assert_eq!(methods.snapshot()[0].started, 1);
    }

    #[test]
    fn a_code_that_grpc_does_not_know_is_unknown() {
        let mut method = MethodSnapshot::default();
        for code in [0, 5, 16, 17, 99, -1] {
            method.add_ended(code.into(), &Counts::default(), Duration::ZERO);
        }
        let handled = method.handled;
        assert_eq!((handled[0], handled[5], handled[16]), (1, 1, 1));
        assert_eq!(handled[2], 3);
    }
}
