//! The open streams of a server: which they are, whose, and what is to be done to them and when;
//! and what a new call has to pass. It keeps this and does nothing; whoever owns it keeps it behind
//! one lock, for a moment at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use grpcio::RpcStatus;

use super::ending::Ending;
use super::limits::Refusal;
use super::meter::{Counts, Methods, StreamsSnapshot};
use super::observe::CallEnd;
use super::peers::{Peer, Peers};
use super::workers::Timer;

/// Streams that are taken out or looked at under one lock.
pub(super) const PORTION: usize = 256;

/// A stream, of whatever message type.
pub(super) trait Overseen: Send + Sync {
    fn ending(&self) -> &Ending;

    /// What it has come to so far.
    fn counts(&self) -> Counts;

    /// How it ended; to be asked when it has.
    fn end(&self) -> CallEnd;
}

struct Entry {
    stream: Arc<dyn Overseen>,
    /// Its place among [`Registry::methods`].
    method: usize,
}

/// The open streams, by their number: newer ones have higher numbers.
pub(super) struct Registry {
    streams: BTreeMap<u64, Entry>,
    next_number: u64,
    /// What is to be done to a stream that has ended meanwhile is passed over.
    due: BTreeSet<(Instant, u64, Step)>,
    /// When the overseer comes, if it was sent for.
    pub(super) coming: Option<Timer>,
    /// What new calls are told, once the server drains.
    pub(super) refusal: Option<RpcStatus>,
    /// `None` where it does not matter who calls.
    peers: Option<Peers>,
    pub(super) methods: Methods,
    /// Calls that were refused, by reason.
    refused: BTreeMap<&'static str, u64>,
}

/// What is done to a stream, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Finish,
    Abort,
    Cut,
}

/// The place of a stream in the [`Registry`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    number: u64,
    ends: Option<Instant>,
    peer: Option<Peer>,
}

impl Registry {
    pub(super) fn new(peers: Option<Peers>) -> Registry {
        Registry {
            streams: BTreeMap::new(),
            next_number: 0,
            due: BTreeSet::new(),
            coming: None,
            refusal: None,
            peers,
            methods: Methods::default(),
            refused: BTreeMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn all(&self) -> Vec<Arc<dyn Overseen>> {
        self.streams.values().map(|e| e.stream.clone()).collect()
    }

    /// Whether another stream may come in now, of `peer`, who has then entered.
    pub(super) fn enter(
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
        match (&mut self.peers, peer) {
            (Some(peers), Some(peer)) => peers.enter(peer, Instant::now()).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn count_refusal(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    /// What there is to count, of open streams and of those that have ended.
    pub(super) fn snapshot(&self) -> StreamsSnapshot {
        let mut methods = self.methods.snapshot();
        for Entry { stream, method } in self.streams.values() {
            methods[*method].add_open(&stream.counts());
        }
        let refused = self.refused.iter().map(|(why, n)| (*why, *n)).collect();
        StreamsSnapshot { methods, refused }
    }

    /// Adds a stream of a method, that may go on until `ends`, of a peer that has entered.
    pub(super) fn add(
        &mut self,
        stream: Arc<dyn Overseen>,
        method: usize,
        ends: Option<Instant>,
        peer: Option<Peer>,
    ) -> Place {
        let number = self.next_number;
        self.next_number += 1;
        self.streams.insert(number, Entry { stream, method });
        self.due
            .extend(ends.map(|ends| (ends, number, Step::Finish)));
        Place { number, ends, peer }
    }

    /// Returns the stream, to be dropped outside the lock.
    pub(super) fn remove(&mut self, place: Place) -> Option<Arc<dyn Overseen>> {
        if let Some(ends) = place.ends {
            self.due.remove(&(ends, place.number, Step::Finish));
        }
        if let (Some(peers), Some(peer)) = (&mut self.peers, place.peer) {
            peers.leave(peer);
        }
        self.streams.remove(&place.number).map(|e| e.stream)
    }

    /// When something is to be done to a stream next.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, ..)| *due)
    }

    pub(super) fn schedule(&mut self, steps: impl IntoIterator<Item = (Instant, u64, Step)>) {
        self.due.extend(steps);
    }

    /// Takes out one portion of what is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(Arc<dyn Overseen>, u64, Step)> {
        let mut taken = Vec::new();
        for _ in 0..PORTION {
            match self.due.first() {
                Some(&(due, number, step)) if due <= now => {
                    self.due.pop_first();
                    if let Some(entry) = self.streams.get(&number) {
                        taken.push((entry.stream.clone(), number, step));
                    }
                }
                _ => break,
            }
        }
        taken
    }

    /// One portion of the streams, from this number on.
    pub(super) fn portion(&self, from: u64) -> impl Iterator<Item = (u64, &Arc<dyn Overseen>)> {
        let streams = self.streams.range(from..).take(PORTION);
        streams.map(|(number, entry)| (*number, &entry.stream))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use grpcio::RpcStatusCode;

    use super::*;

    #[derive(Default)]
    struct Stream(Ending);

    impl Overseen for Stream {
        fn ending(&self) -> &Ending {
            &self.0
        }

        fn counts(&self) -> Counts {
            Counts::default()
        }

        fn end(&self) -> CallEnd {
            CallEnd {
                code: RpcStatusCode::OK,
                counts: self.counts(),
                lasted: Duration::ZERO,
                subject: None,
                refused: None,
            }
        }
    }

    fn add(registry: &mut Registry, ends: Option<Instant>) -> Place {
        registry.add(Arc::new(Stream::default()), 0, ends, None)
    }

    #[test]
    fn what_is_due_comes_in_portions_and_nothing_of_what_has_ended() {
        let mut registry = Registry::new(None);
        let now = Instant::now();
        let places: Vec<_> = (0..PORTION + 10)
            .map(|_| add(&mut registry, Some(now)))
            .collect();
        let later = add(&mut registry, Some(now + Duration::from_secs(1)));
        for place in &places[..5] {
            assert!(registry.remove(*place).is_some());
        }
        // One that ends after a further step was set for it.
        registry.schedule([(now, later.number, Step::Cut)]);
        registry.remove(later);
        assert_eq!(registry.take_due(now).len(), PORTION);
        assert_eq!(registry.take_due(now).len(), 5);
        assert_eq!(registry.first_due(), None);
    }

    #[test]
    fn portions_come_to_each_stream_once() {
        let mut registry = Registry::new(None);
        let places: Vec<_> = (0..2 * PORTION).map(|_| add(&mut registry, None)).collect();
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let portion: Vec<_> = registry.portion(from).map(|(number, _)| number).collect();
            let Some(last) = portion.last() else { break };
            from = last + 1;
            seen.extend(portion);
            // Those that were looked at may go meanwhile.
            registry.remove(places[0]);
        }
        assert_eq!(seen, (0..2 * PORTION as u64).collect::<Vec<_>>());
    }
}
