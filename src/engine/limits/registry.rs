//! The registry of a server's open streams, their peers, and their due termination steps. One lock,
//! in `stream_table`, protects it. It must not terminate streams itself.
//!
//! Poll threads take that lock, so no holder may keep it long: every pass over the streams goes in
//! batches of [`BATCH_STREAMS`], 25 µs each, and releases the lock in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use grpcio::RpcStatus;

use super::super::stats::{CallEnd, Counts, MethodSnapshot, Methods};
use super::super::termination::Termination;
use super::super::workers::Timer;
use super::peers::{Peer, Peers};
use super::Refusal;

/// Streams in a batch.
pub(in crate::engine) const BATCH_STREAMS: usize = 256;

/// An open stream of any message type.
pub(in crate::engine) trait OpenStream: Send + Sync {
    /// Starts the termination of the stream.
    fn terminate(&self, termination: Termination);

    /// The server drains: the stream may end early.
    fn drain(self: Arc<Self>);

    /// 0 while its writer does not wait for its reader. If two reads return the same other number,
    /// the reader has taken nothing in between.
    fn waiting_at(&self) -> u32;

    /// The stream's counters.
    fn counts(&self) -> Counts;
}

/// A stream and its number.
type Numbered = (Arc<dyn OpenStream>, u64);

/// A termination step of a stream. The steps follow one another; see `enforcer`.
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
    /// The stream has ended for its client while a producer still blocks.
    has_ended: bool,
    /// The last [`OpenStream::waiting_at`] other than 0, and the time of its last change.
    waiting: Option<(u32, Instant)>,
}

/// The streams, by number: newer ones have higher numbers.
#[derive(Default)]
pub(in crate::engine) struct Registry {
    streams: BTreeMap<u64, Entry>,
    next_number: u64,
    /// Entries that have not ended.
    open: usize,
    /// Due steps. Steps of removed streams are skipped.
    due: BTreeSet<(Instant, u64, Step)>,
    /// The next visit of the enforcer, if one is scheduled.
    pub(super) next_visit: Option<Timer>,
    /// The status of new calls; `Some` while the server drains.
    pub(in crate::engine) refusal: Option<RpcStatus>,
    /// `None` without limits by peer.
    peers: Option<Peers>,
    pub(in crate::engine) methods: Methods,
    /// Refused calls, by reason.
    refused: BTreeMap<&'static str, u64>,
    /// `Some` while a snapshot is taken.
    snapshot: Option<PartialSnapshot>,
}

/// A snapshot of the streams with numbers below `end`. The next batch begins at the number `next`.
struct PartialSnapshot {
    next: u64,
    end: u64,
    methods: Vec<MethodSnapshot>,
}

/// The registration of a stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Registration {
    number: u64,
    ends: Option<Instant>,
    peer: Option<Peer>,
}

impl Registry {
    pub(in crate::engine) fn new(peers: Option<Peers>) -> Registry {
        Registry {
            peers,
            ..Registry::default()
        }
    }

    /// The number of registered streams.
    pub(in crate::engine) fn len(&self) -> usize {
        self.streams.len()
    }

    /// The number of streams that have not ended for their clients.
    pub(in crate::engine) fn open(&self) -> usize {
        self.open
    }

    /// Admits one more stream of `peer`, or refuses it. Pass an admitted peer to [`Registry::add`]
    /// or [`Registry::release`].
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

    /// As [`Registry::admit`], but checks only the limits of the peer.
    pub(in crate::engine) fn admit_peer(
        &mut self,
        peer: Option<Peer>,
    ) -> Result<Option<Peer>, Refusal> {
        match (&mut self.peers, peer) {
            (Some(peers), Some(peer)) => peers.acquire(peer, Instant::now()).map(Some),
            _ => Ok(None),
        }
    }

    /// Releases a call of an admitted peer.
    pub(in crate::engine) fn release(&mut self, peer: Option<Peer>) {
        if let (Some(peers), Some(peer)) = (&mut self.peers, peer) {
            peers.release(peer);
        }
    }

    pub(in crate::engine) fn count_refusal(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    /// Records that a call of the method ended at once, for a reason.
    pub(in crate::engine) fn refuse(&mut self, method: usize, reason: &'static str, end: &CallEnd) {
        self.count_refusal(reason);
        let method = self.methods.get(method);
        method.add_ended(end.code, &end.counts, end.lasted);
    }

    /// Refused calls, by reason.
    pub(in crate::engine) fn refused(&self) -> Vec<(&'static str, u64)> {
        self.refused.iter().map(|(why, n)| (*why, *n)).collect()
    }

    /// Registers a stream of an admitted peer. The stream becomes too old at `ends`.
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

    /// Records that the stream has ended for its client. It stays registered until
    /// [`Registry::remove`].
    pub(in crate::engine) fn end(&mut self, registration: &Registration, end: &CallEnd) {
        let Some(entry) = self.streams.get_mut(&registration.number) else {
            return;
        };
        entry.has_ended = true;
        self.open -= 1;
        let method = self.methods.get(entry.method);
        method.add_ended(end.code, &end.counts, end.lasted);
        if let Some(ends) = registration.ends {
            self.due
                .remove(&(ends, registration.number, Step::Graceful));
        }
        if let Some(partial) = &mut self.snapshot {
            // It was open when the snapshot began, and the snapshot has not counted it yet.
            if (partial.next..partial.end).contains(&registration.number) {
                partial.methods[entry.method].add_open(&end.counts);
            }
        }
    }

    /// Removes a stream. The caller drops it outside the lock.
    pub(in crate::engine) fn remove(
        &mut self,
        registration: &Registration,
    ) -> Option<Arc<dyn OpenStream>> {
        self.release(registration.peer);
        self.streams.remove(&registration.number).map(|e| e.stream)
    }

    /// Begins a snapshot. The caller takes one at a time, and calls [`Registry::continue_snapshot`]
    /// until it returns the snapshot.
    pub(in crate::engine) fn begin_snapshot(&mut self) {
        self.snapshot = Some(PartialSnapshot {
            next: 0,
            end: self.next_number,
            methods: self.methods.snapshot(),
        });
    }

    /// Adds one batch of streams to the snapshot. Returns the snapshot after the last batch.
    pub(in crate::engine) fn continue_snapshot(&mut self) -> Option<Vec<MethodSnapshot>> {
        let mut partial = self.snapshot.take()?;
        let next = self.visit(partial.next, |number, entry| {
            let method = &mut partial.methods[entry.method];
            match entry.has_ended {
                _ if number >= partial.end => {}
                true => method.lingering += 1,
                false => method.add_open(&entry.stream.counts()),
            }
        });
        match next.filter(|next| *next < partial.end) {
            None => Some(partial.methods),
            Some(next) => {
                self.snapshot = Some(PartialSnapshot { next, ..partial });
                None
            }
        }
    }

    /// The time of the next due step.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, ..)| *due)
    }

    pub(super) fn schedule(&mut self, steps: impl IntoIterator<Item = (Instant, u64, Step)>) {
        self.due.extend(steps);
    }

    /// Takes one batch of due steps.
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

    /// One batch of the open streams, from the number `from` on, and the start of the next batch;
    /// `None` after the last.
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

    /// The streams of one batch whose readers have taken nothing for `longest`, and the start of
    /// the next batch; `None` after the last.
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

    /// Visits one batch of streams, from the number `from` on. Returns the start of the next batch.
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
