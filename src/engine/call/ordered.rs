//! The order of an ordered call: which job may send now, and the messages that later jobs have made
//! ahead. Data only; it runs no user code and takes no lock.
//!
//! | started job | holds | next state |
//! | --- | --- | --- |
//! | first | nothing here: it is ready, parked, or with a worker, as in any call | none, when it ends or fails |
//! | later, has not run | nothing here: it is ready or with a worker | one of the next two |
//! | later, has run | its first message; a push job has not begun | first and ready, in its turn |
//! | later, ended or failed | its end or failure | none, in its turn; only then the failure ends the call |

use std::collections::BTreeMap;

use grpcio::RpcStatus;

use super::super::panic::drop_caught;
use super::job::Body;

/// The started jobs of an ordered call, numbered as they start.
pub(super) struct Order<T> {
    /// The number of the job that may send.
    first: u64,
    /// The number of the next job that starts.
    next: u64,
    /// Later jobs that wait for their turn.
    waiting: BTreeMap<u64, Waiting<T>>,
}

enum Waiting<T> {
    Started(Box<OrderedJob<T>>),
    Ended,
    Failed(RpcStatus),
}

/// A started job of an ordered call.
pub(super) struct OrderedJob<T> {
    pub(super) number: u64,
    /// The message that it made before its turn.
    pub(super) held: Option<T>,
    pub(super) body: Body<T>,
}

/// The consequence of a job's end.
pub(super) enum Next<T> {
    /// The first job is running, or has not started.
    Nothing,
    /// This job is first now.
    Ready(Box<OrderedJob<T>>),
    /// The turn of a failed job has come.
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
    /// Numbers a job that starts.
    pub(super) fn start(&mut self, body: Body<T>) -> Box<OrderedJob<T>> {
        let number = self.next;
        self.next += 1;
        let held = None;
        Box::new(OrderedJob { number, held, body })
    }

    pub(super) fn is_first(&self, number: u64) -> bool {
        self.first == number
    }

    /// The number of waiting jobs.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Keeps a job until its turn. Returns it if that is now.
    pub(super) fn wait(&mut self, job: Box<OrderedJob<T>>) -> Option<Box<OrderedJob<T>>> {
        if self.is_first(job.number) {
            return Some(job);
        }
        self.waiting.insert(job.number, Waiting::Started(job));
        None
    }

    /// Records the end of a job.
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

    /// Takes all waiting jobs, because the call is over.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Box<OrderedJob<T>>> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_values().filter_map(|waiting| match waiting {
            Waiting::Started(job) => Some(job),
            Waiting::Ended | Waiting::Failed(_) => None,
        })
    }
}

impl<T> OrderedJob<T> {
    /// Drops the parts one by one: two panics in one drop would abort the process.
    pub(super) fn discard(self) {
        drop_caught(self.held);
        drop_caught(self.body);
    }
}
