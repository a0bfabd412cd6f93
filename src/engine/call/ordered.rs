//! The line of an ordered call: whose messages may leave now, and what the jobs behind it have made ahead. Data only;
//! it runs no user code and takes no lock.
//!
//! | a started job | holds | leaves the line |
//! | --- | --- | --- |
//! | first | nothing here: it is ready, parked, or with a worker, as in any call | when it ends or fails |
//! | behind, not asked yet | nothing here: it is ready or with a worker | see below |
//! | behind, asked | its first message; a push job has not begun | becomes first and ready when its turn comes |
//! | behind, ended or failed | that | when its turn comes; only then a failure is the call's |

use std::collections::BTreeMap;

use grpcio::RpcStatus;

use super::super::panic::drop_caught;
use super::job::Body;

/// The started jobs of an ordered call, by the numbers in which they were started.
pub(super) struct Order<T> {
    /// The job whose messages may leave.
    first: u64,
    /// The number of the next job that starts.
    next: u64,
    /// Those behind the first that do nothing before their turn.
    waiting: BTreeMap<u64, Waiting<T>>,
}

enum Waiting<T> {
    Started(Box<OrderedJob<T>>),
    Ended,
    Failed(RpcStatus),
}

/// A job in the line.
pub(super) struct OrderedJob<T> {
    pub(super) number: u64,
    /// A message that it made before its turn.
    pub(super) held: Option<T>,
    pub(super) body: Body<T>,
}

/// What follows when a job ends.
pub(super) enum Next<T> {
    /// The first one goes on by itself, or is still to start.
    Nothing,
    /// This one is first now.
    Ready(Box<OrderedJob<T>>),
    /// One had failed, and its turn has come.
    Failed(RpcStatus),
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
    /// Puts a job that starts at the end of the line.
    pub(super) fn start(&mut self, body: Body<T>) -> Box<OrderedJob<T>> {
        let number = self.next;
        self.next += 1;
        let held = None;
        Box::new(OrderedJob { number, held, body })
    }

    pub(super) fn is_first(&self, number: u64) -> bool {
        self.first == number
    }

    /// Jobs that wait here.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The job does nothing before its turn. Comes back if that is now.
    pub(super) fn wait(&mut self, job: Box<OrderedJob<T>>) -> Option<Box<OrderedJob<T>>> {
        if self.is_first(job.number) {
            return Some(job);
        }
        self.waiting.insert(job.number, Waiting::Started(job));
        None
    }

    /// The job has ended, perhaps with a failure.
    pub(super) fn end(&mut self, number: u64, failure: Option<RpcStatus>) -> Next<T> {
        let ended = failure.map_or(Waiting::Ended, Waiting::Failed);
        self.waiting.insert(number, ended);
        loop {
            match self.waiting.remove(&self.first) {
                None => return Next::Nothing,
                Some(Waiting::Ended) => self.first += 1,
                Some(Waiting::Failed(status)) => return Next::Failed(status),
                Some(Waiting::Started(job)) => return Next::Ready(job),
            }
        }
    }

    /// Takes out the jobs that wait, because the call is over.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Box<OrderedJob<T>>> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().filter_map(|waiting| match waiting {
            Waiting::Started(job) => Some(job),
            Waiting::Ended | Waiting::Failed(_) => None,
        })
    }
}

impl<T> OrderedJob<T> {
    /// Drops each piece for itself: two that panic at once would abort the process.
    pub(super) fn discard(self) {
        drop_caught(self.held);
        drop_caught(self.body);
    }
}
