//! One turn of a worker in a call: a step of its job source, a slice of a job, or both. User code
//! runs here, outside the call's lock, and its panics are caught here. `park` ends the turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use grpcio::RpcStatus;

use super::super::channel::SendError;
use super::super::panic::{drop_caught, run_caught};
use super::super::workers::Task;
use super::job::{Body, Producer};
use super::job_source::JobSource;
use super::ordered::OrderedJob;
use super::park::Left;
use super::state::{QueueState, Started, Work};
use super::{internal, Call};

/// Messages of one slice, after which a producer lets waiting calls run.
const SLICE_MESSAGES: u32 = 64;

/// Time of one slice, for slower producers.
const SLICE_TIME: Duration = Duration::from_millis(1);

/// How a slice of a producer ended.
enum Slice {
    /// It has used its slice.
    Used,
    /// The channel is full.
    Full,
    /// It has no more messages, or the channel is closed.
    Ended,
    Failed(RpcStatus),
}

/// How a slice of a job ended.
enum Ran<T> {
    Used(Body<T>),
    Full(Body<T>),
    Ended,
    Failed(RpcStatus),
}

impl<T: Send + 'static> Task for Call<T> {
    fn run(self: Arc<Self>) {
        self.turn(true);
    }
}

/// Runs user code that may fail. A panic becomes a failure.
pub(super) fn run_user_code<R>(
    name: &str,
    run: impl FnOnce() -> Result<R, RpcStatus>,
) -> Result<R, RpcStatus> {
    run_caught(name, run).unwrap_or_else(|| Err(panicked()))
}

/// The panic hook logs the message of a panic; clients do not get it.
fn panicked() -> RpcStatus {
    internal("the producer panicked")
}

impl<T: Send + 'static> Call<T> {
    /// One turn. A thread that must not block leaves push jobs to the workers.
    pub(super) fn turn(self: &Arc<Self>, may_block: bool) {
        let started = match self.take_work() {
            // The job that starts runs in the same turn: most calls have one job, due now.
            Some(Work::Source(source)) => self.advance(source),
            Some(Work::Started(started)) => Some(started),
            Some(Work::Discard(discarded)) => {
                // The timer of the heartbeat check would keep the call's memory.
                if let Some(timer) = discarded.timer() {
                    self.workers.cancel(timer);
                }
                discarded.discard();
                None
            }
            None => return,
        };
        let left = match started {
            Some(started) if !may_block && started.is_push() => Left::Ready(started),
            Some(started) => self.run_started(started),
            None => Left::Nothing,
        };
        self.leave(left);
    }

    fn take_work(self: &Arc<Self>) -> Option<Work<T>> {
        let mut state = self.lock();
        state.queue_state = QueueState::Idle;
        let work = match self.is_finished() {
            true => state.take_code().map(Work::Discard),
            false => state.take_work(),
        };
        state.active += u32::from(work.is_some());
        // Another worker may take further work at the same time.
        self.settle(&mut state);
        if work.is_some() {
            return work;
        }
        let permit = self.take_permit(&mut state);
        drop(state);
        drop(permit);
        None
    }

    /// Takes one step of the job source; returns the job to run now.
    fn advance(self: &Arc<Self>, mut source: JobSource<T>) -> Option<Started<T>> {
        let mut extras = None;
        let step = run_user_code("a job source", || {
            source.step(&self.context, self.arrived, &mut extras)
        });
        let body = match step {
            Ok(body) => body,
            Err(status) => {
                self.fail(status);
                drop_caught(std::mem::replace(&mut source, JobSource::Exhausted));
                None
            }
        };
        let mut state = self.lock();
        if self.is_finished() {
            drop(state);
            drop_caught(source);
            drop_caught(body);
            drop_caught(extras);
            return None;
        }
        state.source = source;
        if extras.is_some() {
            state.extras = extras;
            if let Some(heartbeat) = state.heartbeat() {
                self.start_heartbeat(heartbeat);
            }
        }
        let started = body.map(|body| state.start(body));
        if started.is_some() {
            self.settle(&mut state);
        }
        started
    }

    fn run_started(self: &Arc<Self>, started: Started<T>) -> Left<T> {
        match started {
            Started::Unordered(body) => match self.run_body(body, None) {
                Ran::Used(body) => Left::Ready(Started::Unordered(body)),
                Ran::Full(body) => Left::Full(Started::Unordered(body)),
                Ran::Ended => Left::Nothing,
                Ran::Failed(status) => {
                    self.fail(status);
                    Left::Nothing
                }
            },
            Started::Ordered(job) => self.run_ordered(job),
        }
    }

    /// Runs a job of an ordered call.
    fn run_ordered(self: &Arc<Self>, mut job: Box<OrderedJob<T>>) -> Left<T> {
        let number = job.number;
        let is_first = self
            .lock()
            .order()
            .is_some_and(|order| order.is_first(number));
        if !is_first {
            return self.run_ahead(job);
        }
        if self.sender.is_closed() {
            job.discard();
            return Left::Nothing;
        }
        if !self.sender.has_free_slot() {
            return Left::Full(Started::Ordered(job));
        }
        if let Some(held) = job.held.take() {
            if let Err(SendError(held)) = self.sender.send_ignoring_capacity(held) {
                drop_caught(held);
            }
        }
        let is_push = matches!(job.body, Body::Push(_));
        match self.run_body(job.body, Some(number)) {
            Ran::Used(body) => {
                job.body = body;
                Left::Ready(Started::Ordered(job))
            }
            Ran::Full(body) => {
                job.body = body;
                Left::Full(Started::Ordered(job))
            }
            // The drop of its last sender ends the job.
            Ran::Ended if is_push => Left::Nothing,
            Ran::Ended => Left::Ended(number, None),
            Ran::Failed(status) => {
                self.fail(status);
                Left::Nothing
            }
        }
    }

    /// Makes one message before the job's turn.
    fn run_ahead(&self, mut job: Box<OrderedJob<T>>) -> Left<T> {
        let Body::Pull(producer) = &mut job.body else {
            return Left::Waiting(job);
        };
        if self.sender.is_closed() {
            job.discard();
            return Left::Nothing;
        }
        let made = run_user_code("a producer", || producer.next().transpose());
        let end = match made {
            Ok(Some(message)) => {
                job.held = Some(message);
                return Left::Waiting(job);
            }
            Ok(None) => None,
            Err(status) => Some(status),
        };
        let number = job.number;
        job.discard();
        Left::Ended(number, end)
    }

    fn run_body(self: &Arc<Self>, body: Body<T>, number: Option<u64>) -> Ran<T> {
        let mut producer = match body {
            Body::Pull(producer) => producer,
            Body::Push(push) if !self.sender.has_free_slot() => return Ran::Full(Body::Push(push)),
            Body::Push(push) if self.sender.is_closed() => {
                drop_caught(push);
                return Ran::Ended;
            }
            Body::Push(push) => {
                return self
                    .push(push, number)
                    .map_or_else(Ran::Failed, |()| Ran::Ended)
            }
        };
        let slice = run_user_code("a producer", || Ok(self.produce(&mut *producer)));
        let ran = match slice.unwrap_or_else(Slice::Failed) {
            Slice::Used => return Ran::Used(Body::Pull(producer)),
            Slice::Full => return Ran::Full(Body::Pull(producer)),
            Slice::Ended => Ran::Ended,
            Slice::Failed(status) => Ran::Failed(status),
        };
        drop_caught(producer);
        ran
    }

    fn produce(&self, producer: &mut dyn Producer<T>) -> Slice {
        let began = Instant::now();
        let mut sent = 0;
        loop {
            if self.sender.is_closed() {
                return Slice::Ended;
            }
            if !self.sender.has_free_slot() {
                return Slice::Full;
            }
            let message = match producer.next() {
                Some(Ok(message)) => message,
                Some(Err(status)) => return Slice::Failed(status),
                None => return Slice::Ended,
            };
            if self.sender.send_ignoring_capacity(message).is_err() {
                return Slice::Ended;
            }
            sent += 1;
            // Checked only while a task waits: reading the clock costs more than a message.
            if self.workers.is_contended()
                && (sent >= SLICE_MESSAGES || began.elapsed() >= SLICE_TIME)
            {
                return Slice::Used;
            }
        }
    }
}
