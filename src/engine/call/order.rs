//! The order of an ordered call: which strand may send, and which wait for their turn. It runs
//! nothing and takes no lock.
//!
//! Strands run in parallel, but only the first one sends. Each other one makes one message ahead,
//! then waits here without a thread, however slow the first one is.
//!
//! | strand | its turn comes |
//! | --- | --- |
//! | waits with its message | it becomes ready |
//! | has ended | the next one is first |
//! | has failed | the call fails |

use std::collections::BTreeMap;

use super::body::Body;
use super::strand::{Place, Strand};
use crate::Status;

/// The strands of an ordered call, numbered as they start.
pub(super) struct Order<T> {
    /// The number of the strand that may send.
    first: u64,
    /// The number of the next strand that starts.
    next: u64,
    /// Later strands that wait for their turn.
    waiting: BTreeMap<u64, Waiting<T>>,
}

enum Waiting<T> {
    Started(Strand<T>),
    Ended(Result<(), Status>),
}

/// The consequence of a strand's end.
pub(super) enum Successor<T> {
    /// The first strand is running, waits for its message, or has not started.
    Nothing,
    /// This strand is first now.
    Ready(Strand<T>),
    /// The turn of a failed strand has come.
    Failed(Status),
}

impl<T> Default for Order<T> {
    fn default() -> Order<T> {
        Order {
            first: 0,
            next: 0,
            waiting: BTreeMap::new(),
        }
    }
}

impl<T> Order<T> {
    /// Numbers a job that starts.
    pub(super) fn start(&mut self, body: Body<T>) -> Strand<T> {
        let number = self.next;
        self.next += 1;
        let held = None;
        Strand {
            body,
            place: Some(Box::new(Place { number, held })),
        }
    }

    pub(super) fn is_first(&self, number: u64) -> bool {
        self.first == number
    }

    /// The number of waiting strands.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps a strand until its turn. Returns it if that is now.
    pub(super) fn wait(&mut self, strand: Strand<T>) -> Option<Strand<T>> {
        match strand.number() {
            Some(number) if !self.is_first(number) => {
                self.waiting.insert(number, Waiting::Started(strand));
                None
            }
            _ => Some(strand),
        }
    }

    /// Records the end of a strand.
    pub(super) fn end(&mut self, number: u64, end: Result<(), Status>) -> Successor<T> {
        self.waiting.insert(number, Waiting::Ended(end));
        loop {
            match self.waiting.remove(&self.first) {
                None => return Successor::Nothing,
                Some(Waiting::Ended(Ok(()))) => self.first += 1,
                Some(Waiting::Ended(Err(status))) => return Successor::Failed(status),
                Some(Waiting::Started(strand)) => return Successor::Ready(strand),
            }
        }
    }

    /// Takes all waiting strands, because the call is over.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Strand<T>> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().filter_map(|waiting| match waiting {
            Waiting::Started(strand) => Some(strand),
            Waiting::Ended(_) => None,
        })
    }
}
