//! One call on the side of the workers: from its job source to its channel. It knows nothing of
//! sinks; the response writer reads the channel.
//!
//! A call is a [`Task`]. It is in the workers' queue or among their timers, never in both and never
//! twice, however many of its producers could run. So the workers schedule calls, not producers.
//! The heartbeat check is a separate task with a weak reference to the call.
//!
//! A producer runs only when the channel has a free slot, and a job starts only when it can run at
//! once. So the memory of a call with a slow reader is bounded: its channel, one message for each
//! worker that runs one of its producers, and at most 256 started producers. In an ordered call
//! each of these may hold one more message.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use grpcio::{RpcStatus, RpcStatusCode};

use super::channel::Sender;
use super::limits::{OpenStream, Permit};
use super::stats::{CallCounters, CallEnd, Counts, MethodMetrics};
use super::sync;
use super::workers::Workers;
pub use context::CallContext;
pub use convert::{IntoEncoded, IntoJobs};
pub use job::{Job, Jobs, Produced, Producer};
pub(super) use job_source::OpenFn;
pub use push::StreamSender;
pub(super) use state::Unsent;
use state::{QueueState, State};
pub(super) use termination::{Level, Termination, Terminator};

mod adapters;
mod context;
mod convert;
mod deadline;
mod heartbeat;
mod job;
mod job_source;
mod ordered;
mod park;
mod push;
mod run;
mod schedule;
mod state;
mod termination;
#[cfg(test)]
mod termination_tests;

/// One call. The workers and the response writer share it.
pub(super) struct Call<T> {
    workers: Workers,
    arrived: Instant,
    context: CallContext,
    terminator: Terminator,
    sender: Sender<T>,
    counters: CallCounters,
    /// See [`Call::rests`].
    rests: AtomicBool,
    state: Mutex<State<T>>,
}

impl<T: Send + 'static> Call<T> {
    pub(super) fn new(
        workers: Workers,
        context: CallContext,
        sender: Sender<T>,
        open: OpenFn<T>,
    ) -> Arc<Call<T>> {
        Arc::new(Call {
            workers,
            arrived: Instant::now(),
            context,
            terminator: Terminator::default(),
            sender,
            counters: CallCounters::default(),
            rests: AtomicBool::new(false),
            state: Mutex::new(State::new(open)),
        })
    }

    /// Puts the call into the workers' queue for the first time.
    pub(super) fn start(self: &Arc<Self>, permit: Permit) {
        let mut state = self.lock();
        state.permit = Some(permit);
        self.enqueue(&mut state);
    }

    /// Runs the first turn in the calling thread; see [`Streams::direct`](super::Streams::direct).
    pub(super) fn start_directly(self: &Arc<Self>, permit: Permit) {
        self.lock().permit = Some(permit);
        self.turn(false);
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    pub(super) fn terminator(&self) -> &Terminator {
        &self.terminator
    }

    pub(super) fn counters(&self) -> &CallCounters {
        &self.counters
    }

    pub(super) fn arrived(&self) -> Instant {
        self.arrived
    }

    pub(super) fn context(&self) -> &CallContext {
        &self.context
    }

    /// Fails the call with `status`, after the messages in its channel. An earlier failure stays.
    pub(super) fn fail(&self, status: RpcStatus) {
        self.close_with(status, |_| true);
    }

    /// Closes the channel. Fails the call with `status` if `counts` returns true; its argument
    /// tells whether the channel was open.
    fn close_with(&self, status: RpcStatus, counts: impl FnOnce(bool) -> bool) {
        self.mark_failed(status, counts);
        self.sender.wake_both();
    }

    /// As [`Call::close_with`], without the wake-up, which the caller owes.
    fn mark_failed(&self, status: RpcStatus, counts: impl FnOnce(bool) -> bool) {
        let close = || counts(self.sender.mark_closed());
        self.terminator.fail(no_ok(status), close);
    }

    /// The response writer could not send a message. This failure replaces an earlier one, since
    /// not all messages before that one arrive.
    pub(super) fn fail_writing(&self, message: &str) {
        self.terminator.fail_anew(internal(message));
        self.sender.close();
    }

    /// Ends the call for its client: no producer is called again, and a worker drops the call's
    /// user code. Never blocks. The call keeps its permit until its last producer has returned.
    pub(super) fn end(self: &Arc<Self>, unsent: Option<Unsent<T>>) {
        if self.context.set_over() {
            return;
        }
        let mut state = self.lock();
        state.unsent = unsent.map(Box::new);
        self.settle(&mut state);
        self.counters.set_parked(0);
    }

    /// The response writer was dropped.
    pub(super) fn writer_dropped(self: &Arc<Self>) {
        let mut state = self.lock();
        state.writer_is_dropped = true;
        let permit = self.take_permit(&mut state);
        drop(state);
        drop(permit);
    }

    /// Reports the end of the stream for its client to the table of streams.
    pub(super) fn report_end(&self, metrics: &MethodMetrics, end: &CallEnd) {
        if let Some(permit) = &self.lock().permit {
            permit.end(metrics, end);
        }
    }

    /// Takes the permit once no thread works for the call.
    fn take_permit(&self, state: &mut State<T>) -> Option<Permit> {
        let is_done = state.writer_is_dropped
            && state.active == 0
            && state.pushing == 0
            && matches!(state.queue_state, QueueState::Idle)
            && !state.holds_code();
        state.permit.take_if(|_| is_done)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn enqueue(self: &Arc<Self>, state: &mut State<T>) {
        let is_in_queue = match state.queue_state {
            QueueState::Idle => false,
            QueueState::Queued => true,
            QueueState::Timed(timer) => !self.workers.cancel(timer),
        };
        state.queue_state = QueueState::Queued;
        if !is_in_queue {
            self.workers.submit(self.clone());
        }
    }

    /// Queues the call or sets its timer, as its changed state requires; see `state`.
    fn settle(self: &Arc<Self>, state: &mut State<T>) {
        if self.is_finished() {
            if state.holds_code() {
                self.enqueue(state);
            }
        } else if state.has_work() {
            self.enqueue(state);
        } else if let (QueueState::Idle, Some(due)) =
            (&state.queue_state, state.source.waits_until())
        {
            if state.may_start() {
                state.queue_state = QueueState::Timed(self.workers.submit_at(due, self.clone()));
            }
        }
        // A call that mostly waits should hold little memory.
        let is_queued = matches!(state.queue_state, QueueState::Queued);
        let rests = state.active == 0 && !is_queued && !self.sender.is_closed();
        self.rests.store(rests, Ordering::Relaxed);
        if rests {
            state.ready.shrink_to_fit();
            self.sender.free_memory();
        }
    }

    /// Whether no worker is in the call or about to run it. It waits for its timer, for a slot, or
    /// for the sender of a push job.
    ///
    /// Of the worker that sets this and the response writer that takes the last message, the later
    /// one frees the channel's memory.
    pub(super) fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    /// True once no producer may be called again.
    fn is_finished(&self) -> bool {
        self.context.is_over() || self.sender.is_closed()
    }
}

impl<T: Send + 'static> OpenStream for Call<T> {
    fn terminate(&self, termination: Termination) {
        match termination {
            // If the channel is closed, the producers have ended or the call has failed.
            Termination::Graceful(status) => self.close_with(status, |was_open| was_open),
            Termination::Abort(status) => {
                self.fail(status);
                self.terminator.raise(Level::Abort);
            }
            Termination::Cut => self.terminator.raise(Level::Cut),
        }
    }

    fn waiting_at(&self) -> u32 {
        self.terminator.waiting_at()
    }

    fn counts(&self) -> Counts {
        let mut counts = self.counters.counts();
        counts.slots = self.sender.slots_taken();
        counts
    }
}

/// A failure cannot be OK: its client would take the stream for complete.
fn no_ok(status: RpcStatus) -> RpcStatus {
    match status.code() {
        RpcStatusCode::OK => internal("the call failed with the status OK"),
        _ => status,
    }
}

fn internal(message: &str) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::INTERNAL, message.into())
}
