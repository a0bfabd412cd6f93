//! The workers' state of a call: its strands by what they wait for. It runs no user code, takes no
//! lock and wakes nobody.
//!
//! | the call has | the pool must |
//! | --- | --- |
//! | a ready strand, or a job source that is due and may start a job | `Queue` it |
//! | ended or failed, and still holds user code | `Queue` it: a worker drops the code |
//! | a job source that is due later, or a polled strand that waits for a time | run it `At` the first of these times |
//! | only parked strands, or only strands that are out | let it `Rest`: a free slot, or their holder, queues it |
//! | only push jobs whose function has returned | let it `Rest`: the drop of the last sender queues it |
//! | only polled strands that wait to be woken | let it `Rest`: a wake-up, or a drain, makes them ready |
//! | ordered strands that wait for their turn | as by the other rows: the end of the first one makes the next one ready |

use std::collections::VecDeque;
use std::time::Instant;

use super::super::channel::Receiver;
use super::super::limits::Permit;
use super::super::panic::drop_caught;
use super::super::workers::Timer;
use super::body::Body;
use super::heartbeat::Heartbeat;
use super::job::Extras;
use super::job_source::{JobSource, OpenFn};
use super::order::{Order, Successor};
use super::strand::{Pause, Strand, Waiting};
use crate::Status;

/// The most strands of one call. Without a bound, jobs that start faster than they end would take
/// ever more memory.
const MAX_STARTED: usize = 256;

/// One lock protects all fields. No user code runs under it.
pub(super) struct State<T> {
    pub(super) source: JobSource<T>,
    /// The last turn went to the job source. The next goes to a ready strand, so neither starves.
    source_ran_last: bool,
    /// Strands that can run now.
    pub(super) ready: VecDeque<Strand<T>>,
    /// Strands that wait for a free slot in the channel. While one is parked, the job source waits
    /// too.
    parked: Vec<Strand<T>>,
    /// Strands that are not here: with a worker, or with the senders of a push job. The job source
    /// and the heartbeat count while a worker has them.
    out: u32,
    /// Workers in user code of this call.
    pub(super) running: u32,
    /// `None` in most calls.
    pub(super) extras: Option<Box<Extras<T>>>,
    pub(super) queue_state: QueueState,
    /// Unsent messages of an ended call, for a worker to drop. Boxed: most calls have none.
    pub(super) unsent: Option<Box<Receiver<T>>>,
    /// The response writer was dropped.
    pub(super) writer_is_dropped: bool,
    /// The server drains: a producer that does not know must be asked again before it waits.
    is_draining: bool,
    /// Released when both the response writer and the workers are done with the call.
    pub(super) permit: Option<Permit>,
}

/// Whether the workers will run the call. At most one worker takes it from the queue; other workers
/// may be in its strands.
pub(super) enum QueueState {
    Idle,
    Queued,
    /// Until the job source or a waiting strand is due.
    Timed(Timer),
}

/// What the pool must do with the call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Rest,
    Queue,
    At(Instant),
}

/// The work of one turn.
pub(super) enum Work<T> {
    Source(JobSource<T>),
    /// The strand, and whether it may send.
    Strand(Strand<T>, bool),
    /// The call is over or has failed: drop its user code.
    Discard(Discarded<T>),
}

/// User code for a worker to drop.
pub(super) struct Discarded<T> {
    source: JobSource<T>,
    strands: Vec<Strand<T>>,
    unsent: Option<Box<Receiver<T>>>,
    heartbeat: Option<Heartbeat<T>>,
}

impl<T: 'static> State<T> {
    pub(super) fn new(open: OpenFn<T>) -> State<T> {
        State {
            source: JobSource::Unopened(open),
            source_ran_last: false,
            ready: VecDeque::new(),
            parked: Vec::new(),
            out: 0,
            running: 0,
            extras: None,
            queue_state: QueueState::Idle,
            unsent: None,
            writer_is_dropped: false,
            is_draining: false,
            permit: None,
        }
    }

    /// The number of strands, and of those that are starting.
    fn started(&self) -> usize {
        let waiting = self.extras.as_ref().map_or(0, |extras| {
            let for_turn = extras.order.as_ref().map_or(0, Order::waiting);
            for_turn + extras.waiting.len()
        });
        self.out as usize + self.ready.len() + self.parked.len() + waiting
    }

    /// When the first waiting strand is due.
    fn waits_until(&self) -> Option<Instant> {
        let waiting = &self.extras.as_ref()?.waiting;
        waiting.iter().filter_map(|waiting| waiting.until).min()
    }

    fn order(&mut self) -> Option<&mut Order<T>> {
        self.extras.as_mut()?.order.as_mut()
    }

    pub(super) fn heartbeat(&mut self) -> Option<&mut Heartbeat<T>> {
        self.extras.as_mut()?.heartbeat.as_mut()
    }

    pub(super) fn parked(&self) -> usize {
        self.parked.len()
    }

    /// A worker begins a turn: with a strand, the source, code to drop or the heartbeat.
    pub(super) fn begin_turn(&mut self) {
        self.out += 1;
        self.running += 1;
    }

    /// Takes the work of a turn, if any.
    pub(super) fn take(&mut self, now: impl Fn() -> Instant) -> Option<Work<T>> {
        if self.waits_until().is_some() {
            let now = now();
            self.ready_if(|waiting| waiting.until.is_some_and(|until| until <= now));
        }
        let is_sources_turn = self.ready.is_empty() || !self.source_ran_last;
        if is_sources_turn && self.may_start() && self.source.is_due(now) {
            self.source_ran_last = true;
            let source = std::mem::replace(&mut self.source, JobSource::Taken);
            return Some(Work::Source(source));
        }
        self.source_ran_last = false;
        let strand = self.ready.pop_front()?;
        let may_send = self.may_send(&strand);
        Some(Work::Strand(strand, may_send))
    }

    /// Makes a strand of the body of a job. The turn of the source goes on with it.
    pub(super) fn start(&mut self, body: Body<T>) -> (Strand<T>, bool) {
        let strand = match self.order() {
            Some(order) => order.start(body),
            None => Strand { body, place: None },
        };
        let may_send = self.may_send(&strand);
        (strand, may_send)
    }

    fn may_send(&mut self, strand: &Strand<T>) -> bool {
        match (strand.number(), self.order()) {
            (Some(number), Some(order)) => order.is_first(number),
            _ => true,
        }
    }

    /// Ends a turn. Returns the failure that now ends the call.
    pub(super) fn put_back(&mut self, pause: Option<Pause<T>>) -> Option<Status> {
        self.running -= 1;
        self.out -= u32::from(!matches!(pause, Some(Pause::Senders)));
        match pause? {
            Pause::Ready(strand) => self.ready.push_back(strand),
            Pause::Slot(strand) => self.parked.push(strand),
            Pause::Turn(strand) => {
                let is_first = match self.order() {
                    Some(order) => order.wait(strand),
                    None => Some(strand),
                };
                self.ready.extend(is_first);
            }
            Pause::Waits(waiting) => {
                let missed_drain = self.is_draining && !waiting.knows_drain;
                if missed_drain || waiting.strand.is_woken() {
                    self.ready.push_back(waiting.strand);
                } else {
                    let extras = self.extras.get_or_insert_default();
                    // Most calls have one.
                    extras.waiting.reserve_exact(1);
                    extras.waiting.push(waiting);
                }
            }
            Pause::Senders => {}
            Pause::Ended(None, end) => return end.err(),
            Pause::Ended(Some(number), end) => return self.end(number, end),
        }
        None
    }

    /// The last sender of a push job was dropped. Returns the failure that now ends the call.
    pub(super) fn end_push(&mut self, number: Option<u64>) -> Option<Status> {
        self.out -= 1;
        self.end(number?, Ok(()))
    }

    /// The end of a strand of an ordered call.
    fn end(&mut self, number: u64, end: Result<(), Status>) -> Option<Status> {
        match self.order()?.end(number, end) {
            Successor::Nothing => None,
            Successor::Failed(status) => Some(status),
            Successor::Ready(strand) => {
                // To the front: the other strands make at most one message ahead.
                self.ready.push_front(strand);
                None
            }
        }
    }

    /// A slot is free, or the channel is closed.
    pub(super) fn unpark(&mut self) {
        self.ready.extend(self.parked.drain(..));
    }

    /// Makes waiting strands that were woken ready. True if there are any.
    pub(super) fn wake(&mut self) -> bool {
        self.ready_if(|waiting| waiting.strand.is_woken())
    }

    /// The server drains. Makes all waiting strands ready; true if there are any.
    pub(super) fn drain(&mut self) -> bool {
        self.is_draining = true;
        self.ready_if(|_| true)
    }

    fn ready_if(&mut self, wakes: impl Fn(&Waiting<T>) -> bool) -> bool {
        let before = self.ready.len();
        if let Some(extras) = &mut self.extras {
            let woken = extras.waiting.extract_if(.., |waiting| wakes(waiting));
            self.ready.extend(woken.map(|waiting| waiting.strand));
        }
        self.ready.len() > before
    }

    /// Whether another strand may start: none while one is parked.
    fn may_start(&self) -> bool {
        self.parked.is_empty() && self.started() < MAX_STARTED
    }

    /// True once no strand is left and none will start.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.source, JobSource::Exhausted) && self.started() == 0
    }

    /// What the pool must do, given that the call is over or has failed if `is_finished`.
    pub(super) fn next(&self, is_finished: bool, now: impl FnOnce() -> Instant) -> Action {
        if is_finished {
            return match self.holds_code() {
                true => Action::Queue,
                false => Action::Rest,
            };
        }
        if !self.ready.is_empty() {
            return Action::Queue;
        }
        let may_start = self.may_start();
        if may_start && self.source.is_due(now) {
            return Action::Queue;
        }
        let source = self.source.waits_until().filter(|_| may_start);
        match source.into_iter().chain(self.waits_until()).min() {
            Some(due) => Action::At(due),
            None => Action::Rest,
        }
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
        self.ready_if(|_| true);
        let mut strands = std::mem::take(&mut self.parked);
        strands.extend(std::mem::take(&mut self.ready));
        if let Some(order) = self.order() {
            strands.extend(order.take());
        }
        Some(Discarded {
            source,
            strands,
            unsent: self.unsent.take(),
            heartbeat: self.extras.as_mut().and_then(|e| e.heartbeat.take()),
        })
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
        self.strands.into_iter().for_each(Strand::discard);
        drop_caught(self.unsent);
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
