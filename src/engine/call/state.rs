//! The state of a call for the workers: its producers by what they wait for, and where the call stands.
//! It runs no user code and takes no lock.
//!
//! A worker that takes the call from the queue leaves it `Idle`; every change of the state ends in
//! `Call::settle`, which puts it where it belongs:
//!
//! | the call has | place |
//! | --- | --- |
//! | a ready producer, or a feed that is due and may start another one | `Queued` |
//! | ended or failed, and still holds user code | `Queued`, to be dropped by a worker |
//! | a feed that is due later | `Timed` |
//! | only parked producers, or only jobs that workers run | `Idle`: room, or the worker, comes back to it |
//! | push jobs whose senders live elsewhere | `Idle`: the drop of the last sender comes back to it |
//! | ordered jobs that wait for their turn | by the other rows: the end of the first in line makes the next one ready |

use std::collections::VecDeque;
use std::time::Instant;

use grpcio::RpcStatus;

use super::super::channel::Receiver;
use super::super::limits::Permit;
use super::super::panic::drop_caught;
use super::super::workers::Timer;
use super::heartbeat::Heartbeat;
use super::job::{Body, Extras};
use super::job_source::{JobSource, OpenFn};
use super::ordered::{Next, Order, OrderedJob};

/// Producers of one call that have been started and have not ended. Without a bound, a feed of jobs
/// that come faster than they end would grow with time.
const MAX_STARTED: usize = 256;

/// A job that was started and has not ended.
pub(super) enum Started<T> {
    /// It may send at any time.
    Unordered(Body<T>),
    /// It may send in its turn.
    Ordered(Box<OrderedJob<T>>),
}

/// All of it is protected by one lock, under which no user code runs.
pub(super) struct State<T> {
    pub(super) source: JobSource<T>,
    /// The last turn was the feed's: then it is a ready producer's, so that neither starves.
    pub(super) source_ran_last: bool,
    /// Started producers that could run now.
    pub(super) ready: VecDeque<Started<T>>,
    /// Started producers that wait for room in the channel. While there are any, the feed waits
    /// too.
    pub(super) parked: Vec<Started<T>>,
    /// Workers in user code of this call, apart from push jobs.
    pub(super) active: u32,
    /// Push jobs that have begun and not ended.
    pub(super) pushing: u32,
    /// `None` in most calls.
    pub(super) extras: Option<Box<Extras<T>>>,
    pub(super) queue_state: QueueState,
    /// Messages that were not sent when the call ended, for a worker to drop.
    pub(super) unsent: Option<Unsent<T>>,
    /// The response writer is gone.
    pub(super) writer_is_dropped: bool,
    /// Given back when the call is over for the response writer and for the workers.
    pub(super) permit: Option<Permit>,
}

/// Where the call is in the workers' hands. At most one worker takes it from there; others may be
/// in its producers meanwhile.
pub(super) enum QueueState {
    Idle,
    Queued,
    /// Until the feed is due.
    Timed(Timer),
}

/// What the response writer leaves when it sends no more.
pub(in crate::engine) type Unsent<T> = (Receiver<T>, Option<T>);

/// What a worker does in one turn.
pub(super) enum Work<T> {
    Source(JobSource<T>),
    Started(Started<T>),
    /// The call is over or has failed: its user code is dropped.
    Discard(Discarded<T>),
}

/// User code that a worker is to drop.
pub(super) struct Discarded<T> {
    source: JobSource<T>,
    started: Vec<Started<T>>,
    unsent: Option<Unsent<T>>,
    heartbeat: Option<Heartbeat<T>>,
}

impl<T: 'static> State<T> {
    pub(super) fn new(open: OpenFn<T>) -> State<T> {
        State {
            source: JobSource::Unopened(open),
            source_ran_last: false,
            ready: VecDeque::new(),
            parked: Vec::new(),
            active: 0,
            pushing: 0,
            extras: None,
            queue_state: QueueState::Idle,
            unsent: None,
            writer_is_dropped: false,
            permit: None,
        }
    }

    /// Producers that were started and have not ended, or may just be starting.
    pub(super) fn started(&self) -> usize {
        let at_work = (self.active + self.pushing) as usize;
        at_work + self.ready.len() + self.parked.len() + self.waiting()
    }

    /// Those of an ordered call that wait for their turn.
    fn waiting(&self) -> usize {
        let order = self
            .extras
            .as_ref()
            .and_then(|extras| extras.order.as_ref());
        order.map_or(0, |order| order.waiting())
    }

    pub(super) fn order(&mut self) -> Option<&mut Order<T>> {
        self.extras.as_mut()?.order.as_mut()
    }

    pub(super) fn heartbeat(&mut self) -> Option<&mut Heartbeat<T>> {
        self.extras.as_mut()?.heartbeat.as_mut()
    }

    /// A job starts.
    pub(super) fn start(&mut self, body: Body<T>) -> Started<T> {
        match self.order() {
            Some(order) => Started::Ordered(order.start(body)),
            None => Started::Unordered(body),
        }
    }

    /// A job of an ordered call has ended. Returns the failure that the call comes to by that.
    pub(super) fn end_ordered(
        &mut self,
        number: u64,
        failure: Option<RpcStatus>,
    ) -> Option<RpcStatus> {
        match self.order()?.end(number, failure) {
            Next::Nothing => None,
            Next::Failed(status) => Some(status),
            Next::Ready(job) => {
                // The others can only make one message ahead, or none.
                self.ready.push_front(Started::Ordered(job));
                None
            }
        }
    }

    /// Whether another producer may start. While one waits for room, none may.
    pub(super) fn may_start(&self) -> bool {
        self.parked.is_empty() && self.started() < MAX_STARTED
    }

    pub(super) fn source_is_due(&self) -> bool {
        self.may_start() && self.source.is_due(Instant::now)
    }

    /// Takes the next piece of work; `None` where there is none.
    pub(super) fn take_work(&mut self) -> Option<Work<T>> {
        let is_sources_turn = self.ready.is_empty() || !self.source_ran_last;
        if is_sources_turn && self.source_is_due() {
            self.source_ran_last = true;
            let source = std::mem::replace(&mut self.source, JobSource::Taken);
            return Some(Work::Source(source));
        }
        self.source_ran_last = false;
        self.ready.pop_front().map(Work::Started)
    }

    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty() || self.source_is_due()
    }

    /// True when it holds user code that is to be dropped once the call is over.
    pub(super) fn holds_code(&self) -> bool {
        self.source.holds_code()
            || !self.ready.is_empty()
            || !self.parked.is_empty()
            || self
                .extras
                .as_ref()
                .is_some_and(|extras| extras.holds_code())
            || self.unsent.is_some()
    }

    pub(super) fn take_code(&mut self) -> Option<Discarded<T>> {
        if !self.holds_code() {
            return None;
        }
        let source = match self.source {
            JobSource::Taken => JobSource::Taken,
            _ => std::mem::replace(&mut self.source, JobSource::Exhausted),
        };
        let mut started = std::mem::take(&mut self.parked);
        started.extend(std::mem::take(&mut self.ready));
        if let Some(order) = self.order() {
            started.extend(order.take().map(Started::Ordered));
        }
        Some(Discarded {
            source,
            started,
            unsent: self.unsent.take(),
            heartbeat: self.extras.as_mut().and_then(|e| e.heartbeat.take()),
        })
    }
}

impl<T> Started<T> {
    pub(super) fn discard(self) {
        match self {
            Started::Unordered(body) => drop_caught(body),
            Started::Ordered(job) => job.discard(),
        }
    }
}

impl<T> Discarded<T> {
    /// The timer of its heartbeat, to be cancelled.
    pub(super) fn timer(&self) -> Option<Timer> {
        self.heartbeat.as_ref()?.timer()
    }

    /// Drops each piece for itself: two that panic at once would abort the process.
    pub(super) fn discard(self) {
        drop_caught(self.source);
        drop_caught(self.heartbeat);
        self.started.into_iter().for_each(Started::discard);
        if let Some((messages, message)) = self.unsent {
            drop_caught(message);
            drop_caught(messages);
        }
    }
}
