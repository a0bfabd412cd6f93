//! What the engine counts of its calls: while they run, each in numbers of its own; when they have
//! ended, summed up by method. It knows nothing of who reads the sums, or in which format.
//!
//! The numbers of a call have one writer each and are written without atomic read-modify-writes,
//! so a message costs no more than it would uncounted. Whoever wants the sums adds up the open
//! calls; see [`Streams::snapshot`](super::Streams::snapshot).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use grpcio::RpcStatusCode;

use super::histogram::{Histogram, Spread};

/// The status codes of gRPC, 0 (OK) to 16 (UNAUTHENTICATED).
pub const CODES: usize = 17;

/// The numbers of one call. Aligned, so that the drain's writes take no cache line from the
/// workers.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Tally {
    /// Written by the drain alone.
    messages: AtomicU64,
    /// Written by the drain alone.
    bytes: AtomicU64,
    /// When the first message was handed to the sink, in nanoseconds since the call arrived; 0
    /// before. Written by the drain alone.
    first: AtomicU64,
    /// Written under the lock of the call.
    stalls: AtomicU64,
    /// Written under the lock of the call.
    parked: AtomicUsize,
}

impl Tally {
    /// One message of so many bytes was handed to the sink.
    #[inline]
    pub(super) fn sent(&self, bytes: usize) {
        add(&self.messages, 1);
        add(&self.bytes, bytes as u64);
    }

    pub(super) fn first_after(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.first.store(nanoseconds.max(1), Ordering::Relaxed);
    }

    /// So many producers wait for room now; `stalled` when one came just now.
    pub(super) fn parked(&self, now: usize, stalled: bool) {
        self.parked.store(now, Ordering::Relaxed);
        add(&self.stalls, stalled.into());
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

/// For a single writer: a load and a store, which cost what they cost without atomics.
#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

/// The numbers of one call, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages handed to the sink.
    pub messages: u64,
    /// Their bytes, as far as the engine is told the size of a message.
    pub bytes: u64,
    /// How often a producer found the channel full and had to wait: the reader is slower.
    pub stalls: u64,
    /// Producers that wait for room in the channel now.
    pub parked: usize,
    /// Slots of the channel that are taken now; see [`Capacity`](super::Capacity).
    pub slots: usize,
    /// From the call's arrival to its first message; `None` before that.
    pub first_after: Option<Duration>,
}

/// The sums of one method.
#[derive(Debug)]
pub(super) struct MethodMeter {
    name: String,
    started: AtomicU64,
    handled: [AtomicU64; CODES],
    /// Of calls that have ended.
    messages: AtomicU64,
    bytes: AtomicU64,
    stalls: AtomicU64,
    first: Histogram,
    handling: Histogram,
}

impl MethodMeter {
    fn new(name: String) -> MethodMeter {
        MethodMeter {
            name,
            started: AtomicU64::new(0),
            handled: Default::default(),
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            first: Histogram::default(),
            handling: Histogram::default(),
        }
    }

    pub(super) fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn first_after(&self, duration: Duration) {
        self.first.record(duration);
    }

    /// A call has ended. `counts` are added in the same moment in which it is no longer open, so
    /// that a snapshot sees them once.
    pub(super) fn handled(&self, code: RpcStatusCode, counts: &Counts, lasted: Duration) {
        // A code of its own making counts as what gRPC takes it for: UNKNOWN.
        let code = usize::try_from(i32::from(code)).unwrap_or(CODES);
        let code = if code < CODES { code } else { 2 };
        self.handled[code].fetch_add(1, Ordering::Relaxed);
        self.messages.fetch_add(counts.messages, Ordering::Relaxed);
        self.bytes.fetch_add(counts.bytes, Ordering::Relaxed);
        self.stalls.fetch_add(counts.stalls, Ordering::Relaxed);
        self.handling.record(lasted);
    }

    fn snapshot(&self) -> MethodSnapshot {
        MethodSnapshot {
            name: self.name.clone(),
            started: self.started.load(Ordering::Relaxed),
            handled: std::array::from_fn(|code| self.handled[code].load(Ordering::Relaxed)),
            messages: self.messages.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            stalls: self.stalls.load(Ordering::Relaxed),
            open: 0,
            parked: 0,
            slots: 0,
            first: self.first.spread(),
            handling: self.handling.spread(),
        }
    }
}

/// The methods seen so far. A server has as many as it has registered, so the list stays short.
#[derive(Debug, Default)]
pub(super) struct Methods(Vec<Arc<MethodMeter>>);

impl Methods {
    /// The meter of the method, and its place in [`Methods::snapshot`].
    pub(super) fn of(&mut self, name: &[u8]) -> (usize, Arc<MethodMeter>) {
        let known = self.0.iter().position(|m| m.name.as_bytes() == name);
        let place = known.unwrap_or_else(|| {
            let name = String::from_utf8_lossy(name).into_owned();
            self.0.push(Arc::new(MethodMeter::new(name)));
            self.0.len() - 1
        });
        (place, self.0[place].clone())
    }

    /// Of calls that have ended; those that are open are to be added.
    pub(super) fn snapshot(&self) -> Vec<MethodSnapshot> {
        self.0.iter().map(|method| method.snapshot()).collect()
    }
}

/// The calls of one method, at one moment. Counts never go down from one snapshot to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodSnapshot {
    /// `/package.Service/Method`.
    pub name: String,
    /// Calls that arrived, refused ones included.
    pub started: u64,
    /// Calls that ended, by status code.
    pub handled: [u64; CODES],
    /// Messages handed to the sinks, of open calls too.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// See [`Counts::stalls`].
    pub stalls: u64,
    /// Calls open now.
    pub open: usize,
    /// Producers that wait for room in their channels now.
    pub parked: usize,
    /// Slots taken in all channels now.
    pub slots: usize,
    /// From a call's arrival to its first message.
    pub first: Spread,
    /// From a call's arrival to its end.
    pub handling: Spread,
}

impl MethodSnapshot {
    pub(super) fn add_open(&mut self, counts: &Counts) {
        self.messages += counts.messages;
        self.bytes += counts.bytes;
        self.stalls += counts.stalls;
        self.open += 1;
        self.parked += counts.parked;
        self.slots += counts.slots;
    }
}

/// The streams of a server, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamsSnapshot {
    /// By method.
    pub methods: Vec<MethodSnapshot>,
    /// Calls that were refused, by reason.
    pub refused: Vec<(&'static str, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_known_by_its_name() {
        let mut methods = Methods::default();
        let (a, first) = methods.of(b"/p.S/A");
        let (b, _) = methods.of(b"/p.S/B");
        let (again, _) = methods.of(b"/p.S/A");
        assert_eq!((a, b, again), (0, 1, 0));
        first.started();
        assert_eq!(methods.snapshot()[0].started, 1);
    }

    #[test]
    fn a_code_that_grpc_does_not_know_is_unknown() {
        let meter = MethodMeter::new("/p.S/A".into());
        for code in [0, 5, 16, 17, 99, -1] {
            meter.handled(code.into(), &Counts::default(), Duration::ZERO);
        }
        let handled = meter.snapshot().handled;
        assert_eq!((handled[0], handled[5], handled[16]), (1, 1, 1));
        assert_eq!(handled[2], 3);
    }
}
