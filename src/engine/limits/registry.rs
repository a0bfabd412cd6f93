//! The open streams of a server: their places, their peers, and the steps that are due for each. It
//! keeps this and acts on none of it; [`Streams`](crate::engine::Streams) has it behind one lock.
//!
//! Poll threads take that lock, so nobody may hold it for long: every pass over the streams goes in
//! batches of [`BATCH_STREAMS`], 25 µs each, with the lock released in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grpcio::RpcStatus;

use super::super::call::Termination;
use super::super::stats::{CallEnd, Counts, MethodMetrics, MethodSnapshot, Methods};
use super::super::workers::Timer;
use super::peers::{Peer, Peers};
use super::Refusal;

/// Streams in a batch.
pub(in crate::engine) const BATCH_STREAMS: usize = 256;

/// An open stream of any message type.
pub(in crate::engine) trait OpenStream: Send + Sync {
    /// Ends the stream, or sees that it soon does.
    fn terminate(&self, termination: Termination);

    /// 0 while its writer does not wait for its reader; the same number twice when the reader has
    /// taken nothing in between.
    fn waiting_at(&self) -> u32;

    /// Its counters so far.
    fn counts(&self) -> Counts;
}

/// A stream and its number.
type Numbered = (Arc<dyn OpenStream>, u64);

/// A step towards the end of a stream. They follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Graceful,
    Abort,
    Cut,
}

struct Entry {
    stream: Arc<dyn OpenStream>,
    /// Its index in [`Registry::methods`].
    method: usize,
    /// The client has seen the end; a producer still blocks.
    has_ended: bool,
    /// The last [`OpenStream::waiting_at`] other than 0, and since when it is the same.
    waiting: Option<(u32, Instant)>,
}

/// The streams, by number: newer ones have higher numbers.
pub(in crate::engine) struct Registry {
    streams: BTreeMap<u64, Entry>,
    next_number: u64,
    /// Entries that have not ended.
    open: usize,
    /// Steps for streams that are gone are skipped.
    due: BTreeSet<(Instant, u64, Step)>,
    /// The next visit of the enforcer, if one is scheduled.
    pub(super) next_visit: Option<Timer>,
    /// The status of new calls while the server drains.
    pub(in crate::engine) refusal: Option<RpcStatus>,
    /// `None` without limits by peer.
    peers: Option<Peers>,
    pub(in crate::engine) methods: Methods,
    /// Refused calls, by reason.
    refused: BTreeMap<&'static str, u64>,
    /// There while a snapshot is taken.
    snapshot: Option<PartialSnapshot>,
}

/// A snapshot of the streams with numbers below `end`, as they were when it began. It has come to
/// the one with the number `next`.
struct PartialSnapshot {
    next: u64,
    end: u64,
    methods: Vec<MethodSnapshot>,
}

/// The place of a stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Registration {
    number: u64,
    ends: Option<Instant>,
    peer: Option<Peer>,
}

impl Registry {
    pub(in crate::engine) fn new(peers: Option<Peers>) -> Registry {
        Registry {
            streams: BTreeMap::new(),
            next_number: 0,
            open: 0,
            due: BTreeSet::new(),
            next_visit: None,
            refusal: None,
            peers,
            methods: Methods::default(),
            refused: BTreeMap::new(),
            snapshot: None,
        }
    }

    /// Streams that hold a place.
    pub(in crate::engine) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Streams whose client has not seen the end.
    pub(in crate::engine) fn open(&self) -> usize {
        self.open
    }

    /// Admits one more stream of `peer`, or refuses it. An admitted peer is to be given to
    /// [`Registry::add`] or [`Registry::release`].
    pub(in crate::engine) fn admit(
        &mut self,
        max_streams: usize,
        peer: Option<Peer>,
    ) -> Result<Option<Peer>, Refusal> {
        if let Some(status) = &self.refusal {
            return Err(Refusal::Draining(status.clone()));
        }
        if self.len() >= max_streams {
            return Err(Refusal::Streams(max_streams));
        }
        self.admit_peer(peer)
    }

    /// As [`Registry::admit`], by the limits of the peer alone.
    pub(in crate::engine) fn admit_peer(
        &mut self,
        peer: Option<Peer>,
    ) -> Result<Option<Peer>, Refusal> {
        match (&mut self.peers, peer) {
            (Some(peers), Some(peer)) => peers.acquire(peer, Instant::now()).map(Some),
            _ => Ok(None),
        }
    }

    /// A call of this peer is over.
    pub(in crate::engine) fn release(&mut self, peer: Option<Peer>) {
        if let (Some(peers), Some(peer)) = (&mut self.peers, peer) {
            peers.release(peer);
        }
    }

    pub(in crate::engine) fn count_refusal(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    /// Refused calls, by reason.
    pub(in crate::engine) fn refused(&self) -> Vec<(&'static str, u64)> {
        self.refused.iter().map(|(why, n)| (*why, *n)).collect()
    }

    /// Adds a stream of a method, which may go on until `ends`, of a peer that was admitted.
    pub(in crate::engine) fn add(
        &mut self,
        stream: Arc<dyn OpenStream>,
        method: usize,
        ends: Option<Instant>,
        peer: Option<Peer>,
    ) -> Registration {
        let number = self.next_number;
        self.next_number += 1;
        self.open += 1;
        let entry = Entry {
            stream,
            method,
            has_ended: false,
            waiting: None,
        };
        self.streams.insert(number, entry);
        self.due
            .extend(ends.map(|ends| (ends, number, Step::Graceful)));
        Registration { number, ends, peer }
    }

    /// The stream has ended for its client. It keeps its place until [`Registry::remove`].
    pub(in crate::engine) fn end(
        &mut self,
        registration: &Registration,
        metrics: &MethodMetrics,
        end: &CallEnd,
    ) {
        let Some(entry) = self.streams.get_mut(&registration.number) else {
            return;
        };
        entry.has_ended = true;
        self.open -= 1;
        metrics.handled(end.code, &end.counts, end.lasted);
        if let Some(ends) = registration.ends {
            self.due
                .remove(&(ends, registration.number, Step::Graceful));
        }
        if let Some(partial) = &mut self.snapshot {
            // It was open when the snapshot began, which will not come to it any more.
            if (partial.next..partial.end).contains(&registration.number) {
                partial.methods[entry.method].add_open(&end.counts);
            }
        }
    }

    /// Frees the place. Returns the stream, to be dropped outside the lock.
    pub(in crate::engine) fn remove(
        &mut self,
        registration: &Registration,
    ) -> Option<Arc<dyn OpenStream>> {
        self.release(registration.peer);
        self.streams.remove(&registration.number).map(|e| e.stream)
    }

    /// Begins a snapshot. The caller takes one at a time, and calls [`Registry::continue_snapshot`]
    /// until that returns it.
    pub(in crate::engine) fn begin_snapshot(&mut self) {
        self.snapshot = Some(PartialSnapshot {
            next: 0,
            end: self.next_number,
            methods: self.methods.snapshot(),
        });
    }

    /// Adds one batch of streams to the snapshot; returns it when that was the last one.
    pub(in crate::engine) fn continue_snapshot(&mut self) -> Option<Vec<MethodSnapshot>> {
        let partial = self.snapshot.as_mut()?;
        let mut seen = 0;
        for (number, entry) in self
            .streams
            .range(partial.next..partial.end)
            .take(BATCH_STREAMS)
        {
            seen += 1;
            partial.next = number + 1;
            let method = &mut partial.methods[entry.method];
            if !entry.has_ended {
                method.add_open(&entry.stream.counts());
            } else {
                method.lingering += 1;
            }
        }
        match seen < BATCH_STREAMS {
            true => self.snapshot.take().map(|partial| partial.methods),
            false => None,
        }
    }

    /// When the next step is due.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, ..)| *due)
    }

    pub(super) fn schedule(&mut self, steps: impl IntoIterator<Item = (Instant, u64, Step)>) {
        self.due.extend(steps);
    }

    /// Takes out one batch of the steps that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(Arc<dyn OpenStream>, u64, Step)> {
        let mut taken = Vec::new();
        for _ in 0..BATCH_STREAMS {
            match self.due.first() {
                Some(&(due, number, step)) if due <= now => {
                    self.due.pop_first();
                    let entry = self.streams.get(&number).filter(|entry| !entry.has_ended);
                    taken.extend(entry.map(|entry| (entry.stream.clone(), number, step)));
                }
                _ => break,
            }
        }
        taken
    }

    /// One batch of the open streams, from this number on; and the number to go on from, `None`
    /// after the last batch.
    pub(in crate::engine) fn open_batch(
        &mut self,
        from: u64,
    ) -> (Vec<Arc<dyn OpenStream>>, Option<u64>) {
        let mut streams = Vec::new();
        let next = self.visit(from, |_, entry| {
            streams.extend((!entry.has_ended).then(|| entry.stream.clone()));
        });
        (streams, next)
    }

    /// The streams in one batch whose readers have taken nothing for `longest`; and the number to
    /// go on from, `None` after the last batch.
    pub(super) fn stalled(
        &mut self,
        from: u64,
        now: Instant,
        longest: Duration,
    ) -> (Vec<Numbered>, Option<u64>) {
        let mut stalled = Vec::new();
        let next = self.visit(from, |number, entry| {
            let at = entry.stream.waiting_at();
            let since = match entry.waiting {
                Some((before, since)) if before == at => since,
                _ => now,
            };
            entry.waiting = (at != 0 && !entry.has_ended).then_some((at, since));
            if entry.waiting.is_some() && now.saturating_duration_since(since) >= longest {
                stalled.push((entry.stream.clone(), number));
            }
        });
        (stalled, next)
    }

    /// Visits one batch of streams, from this number on; returns the number to go on from.
    fn visit(&mut self, from: u64, mut visit: impl FnMut(u64, &mut Entry)) -> Option<u64> {
        let mut seen = 0;
        let mut next = None;
        for (number, entry) in self.streams.range_mut(from..).take(BATCH_STREAMS) {
            seen += 1;
            next = Some(number + 1);
            visit(*number, entry);
        }
        next.filter(|_| seen == BATCH_STREAMS)
    }
}
