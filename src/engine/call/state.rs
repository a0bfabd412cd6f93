//! The workers' state of a call: its producers by state, and whether the call is queued. It runs no
//! user code and takes no lock.
//!
//! A worker that takes the call from the queue makes it `Idle`. Every change of the state ends in
//! `Call::settle`, which chooses the queue state:
//!
//! | the call has | queue state |
//! | --- | --- |
//! | a ready producer, or a job source that is due and may start a job | `Queued` |
//! | ended or failed, and still holds user code | `Queued`: a worker drops the code |
//! | a job source that is due later | `Timed` |
//! | only parked producers, or only jobs that workers run | `Idle`: a free slot, or the worker, queues it |
//! | only push jobs whose function has returned | `Idle`: the drop of the last sender queues it |
//! | ordered jobs that wait for their turn | by the other rows: the end of the first job makes the next one ready |

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

/// The most producers of one call that have started and not ended. Without a bound, jobs that start
/// faster than they end would take ever more memory.
const MAX_STARTED: usize = 256;

/// A job that has started and not ended.
pub(super) enum Started<T> {
    /// It may send at any time.
    Unordered(Body<T>),
    /// It may send only in its turn.
    Ordered(Box<OrderedJob<T>>),
}

/// One lock protects all fields. No user code runs under it.
pub(super) struct State<T> {
    pub(super) source: JobSource<T>,
    /// The last turn went to the job source. The next goes to a ready producer, so neither starves.
    pub(super) source_ran_last: bool,
    /// Started producers that can run now.
    pub(super) ready: VecDeque<Started<T>>,
    /// Started producers that wait for a free slot in the channel. While a producer is parked, the
    /// job source waits too.
    pub(super) parked: Vec<Started<T>>,
    /// Workers in user code of this call, apart from push jobs.
    pub(super) active: u32,
    /// Push jobs that have begun and not ended.
    pub(super) pushing: u32,
    /// `None` in most calls.
    pub(super) extras: Option<Box<Extras<T>>>,
    pub(super) queue_state: QueueState,
    /// Unsent messages of an ended call, for a worker to drop. Boxed: most calls have none.
    pub(super) unsent: Option<Box<Unsent<T>>>,
    /// The response writer was dropped.
    pub(super) writer_is_dropped: bool,
    /// Released when both the response writer and the workers are done with the call.
    pub(super) permit: Option<Permit>,
}

/// Whether the workers will run the call. At most one worker takes it from the queue; other workers
/// may be in its producers.
pub(super) enum QueueState {
    Idle,
    Queued,
    /// Until the job source is due.
    Timed(Timer),
}

/// The messages that the response writer has not sent: the channel, and one already out of it.
pub(in crate::engine) type Unsent<T> = (Receiver<T>, Option<T>);

/// The work of one turn.
pub(super) enum Work<T> {
    Source(JobSource<T>),
    Started(Started<T>),
    /// The call is over or has failed: drop its user code.
    Discard(Discarded<T>),
}

/// User code for a worker to drop.
pub(super) struct Discarded<T> {
    source: JobSource<T>,
    started: Vec<Started<T>>,
    unsent: Option<Box<Unsent<T>>>,
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

    /// The number of producers that have started and not ended, or are starting.
    pub(super) fn started(&self) -> usize {
        let at_work = (self.active + self.pushing) as usize;
        at_work + self.ready.len() + self.parked.len() + self.waiting()
    }

    /// The number of ordered jobs that wait for their turn.
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

    /// Makes a body a started job.
    pub(super) fn start(&mut self, body: Body<T>) -> Started<T> {
        match self.order() {
            Some(order) => Started::Ordered(order.start(body)),
            None => Started::Unordered(body),
        }
    }

    /// Records the end of an ordered job. Returns the failure that now ends the call.
    pub(super) fn end_ordered(
        &mut self,
        number: u64,
        failure: Option<RpcStatus>,
    ) -> Option<RpcStatus> {
        match self.order()?.end(number, failure) {
            Next::Nothing => None,
            Next::Failed(status) => Some(status),
            Next::Ready(job) => {
                // To the front: the other jobs make at most one message ahead.
                self.ready.push_front(Started::Ordered(job));
                None
            }
        }
    }

    /// Whether another producer may start: none while a producer is parked.
    pub(super) fn may_start(&self) -> bool {
        self.parked.is_empty() && self.started() < MAX_STARTED
    }

    pub(super) fn source_is_due(&self) -> bool {
        self.may_start() && self.source.is_due(Instant::now)
    }

    /// Takes the next work, if any.
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

    /// True if it holds user code to drop when the call is over.
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
    pub(super) fn is_push(&self) -> bool {
        let body = match self {
            Started::Unordered(body) => body,
            Started::Ordered(job) => &job.body,
        };
        matches!(body, Body::Push(_))
    }

    pub(super) fn discard(self) {
        match self {
            Started::Unordered(body) => drop_caught(body),
            Started::Ordered(job) => job.discard(),
        }
    }
}

impl<T> Discarded<T> {
    /// The timer of the heartbeat check, to cancel it.
    pub(super) fn timer(&self) -> Option<Timer> {
        self.heartbeat.as_ref()?.timer()
    }

    /// Drops the parts one by one: two panics in one drop would abort the process.
    pub(super) fn discard(self) {
        drop_caught(self.source);
        drop_caught(self.heartbeat);
        self.started.into_iter().for_each(Started::discard);
        if let Some(unsent) = self.unsent {
            let (messages, message) = *unsent;
            drop_caught(message);
            drop_caught(messages);
        }
    }
}
