//! One call on the side of the workers: its start, its end, its permit, and its place in the pool's
//! queue. `turn` runs it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use super::super::channel::{Receiver, Sender};
use super::super::limits::{OpenStream, Permit};
use super::super::stats::{CallCounters, CallEnd, Counts};
use super::super::status::failure;
use super::super::termination::{Level, Termination, Terminator};
use super::super::workers::Workers;
use super::context::CallContext;
use super::job_source::OpenFn;
use super::polled::Wakeable;
use super::state::{Action, QueueState, State};
use super::strand::{internal, Port};
use crate::Status;

/// One call. The workers and the response writer share it.
pub(in crate::engine) struct Call<T> {
    pub(super) port: Port<T>,
    terminator: Terminator,
    counters: CallCounters,
    /// See [`Call::rests`].
    rests: AtomicBool,
    state: Mutex<State<T>>,
}

impl<T: Send + 'static> Call<T> {
    pub(in crate::engine) fn new(
        workers: Workers,
        context: CallContext,
        sender: Sender<T>,
        open: OpenFn<T>,
    ) -> Arc<Call<T>> {
        Arc::new(Call {
            port: Port {
                workers,
                arrived: Instant::now(),
                context,
                sender,
            },
            terminator: Terminator::default(),
            counters: CallCounters::default(),
            rests: AtomicBool::new(false),
            state: Mutex::new(State::new(open)),
        })
    }

    /// Gives the call its permit, before its first turn.
    pub(super) fn admit(&self, permit: Permit) {
        self.lock().permit = Some(permit);
    }

    pub(in crate::engine) fn terminator(&self) -> &Terminator {
        &self.terminator
    }

    pub(in crate::engine) fn counters(&self) -> &CallCounters {
        &self.counters
    }

    pub(in crate::engine) fn arrived(&self) -> Instant {
        self.port.arrived
    }

    pub(in crate::engine) fn context(&self) -> &CallContext {
        &self.port.context
    }

    /// Fails the call with `status`, after the messages in its channel. An earlier failure stays.
    pub(super) fn fail(&self, status: Status) {
        self.close_with(status, |_| true);
    }

    /// Closes the channel. Fails the call with `status` if `counts` returns true; its argument
    /// tells whether the channel was open.
    fn close_with(&self, status: Status, counts: impl FnOnce(bool) -> bool) {
        self.mark_failed(status, counts);
        self.port.sender.wake_both();
    }

    /// As [`Call::close_with`], without the wake-up, which the caller owes.
    fn mark_failed(&self, status: Status, counts: impl FnOnce(bool) -> bool) {
        let close = || counts(self.port.sender.mark_closed());
        self.terminator
            .fail(failure(status.into(), "the call"), close);
    }

    /// The response writer could not send a message. This failure replaces an earlier one, since
    /// not all messages before that one arrive.
    pub(in crate::engine) fn fail_writing(&self, message: &str) {
        self.terminator.fail_anew(internal(message).into());
        self.port.sender.close();
    }

    /// Ends the call for its client: no producer is called again, and a worker drops the call's
    /// user code. Never blocks. The call keeps its permit until its last producer has returned.
    pub(in crate::engine) fn end(self: &Arc<Self>, unsent: Option<Receiver<T>>) {
        if self.port.context.set_over() {
            return;
        }
        let mut state = self.lock();
        state.unsent = unsent.map(Box::new);
        self.settle(state, None);
        self.counters.set_parked(0);
    }

    /// The response writer was dropped.
    pub(in crate::engine) fn writer_dropped(self: &Arc<Self>) {
        let mut state = self.lock();
        state.writer_is_dropped = true;
        let permit = take_permit(&mut state);
        drop(state);
        drop(permit);
    }

    /// Reports the end of the stream for its client to the table of streams.
    pub(in crate::engine) fn report_end(&self, end: &CallEnd) {
        if let Some(permit) = &self.lock().permit {
            permit.end(end);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// After each change of the state: fails the call with `failure`, closes the channel if all jobs
    /// have ended, queues the call or sets its timer, and releases its permit if no thread works for
    /// it any more.
    pub(super) fn settle(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State<T>>,
        failure: Option<Status>,
    ) {
        let mut closes = failure.is_some();
        if let Some(status) = failure {
            self.mark_failed(status, |_| true);
        } else if state.is_complete() {
            closes = self.port.sender.mark_closed();
        }
        match state.next(self.is_finished(), Instant::now) {
            Action::Queue => self.enqueue(&mut state),
            Action::At(due) => self.set_timer(&mut state, due),
            Action::Rest => {}
        }
        self.rest(&mut state);
        let permit = take_permit(&mut state);
        drop(state);
        if closes {
            self.port.sender.wake_both();
        }
        drop(permit);
    }

    fn enqueue(self: &Arc<Self>, state: &mut State<T>) {
        let is_in_queue = match state.queue_state {
            QueueState::Idle => false,
            QueueState::Queued => true,
            QueueState::Timed(timer) => !self.port.workers.cancel(timer),
        };
        state.queue_state = QueueState::Queued;
        if !is_in_queue {
            self.port.workers.submit(self.clone());
        }
    }

    /// Has the call run at `due`, or earlier if that is its timer.
    fn set_timer(self: &Arc<Self>, state: &mut State<T>, due: Instant) {
        match state.queue_state {
            QueueState::Queued => return,
            QueueState::Timed(timer) if timer.due() <= due => return,
            // It has left the timers for the queue.
            QueueState::Timed(timer) if !self.port.workers.cancel(timer) => {
                state.queue_state = QueueState::Queued;
                return;
            }
            QueueState::Timed(_) | QueueState::Idle => {}
        }
        let timer = self.port.workers.submit_at(due, self.clone());
        state.queue_state = QueueState::Timed(timer);
    }

    /// Frees memory if no worker is in the call: one that mostly waits should hold little.
    fn rest(&self, state: &mut State<T>) {
        let is_queued = matches!(state.queue_state, QueueState::Queued);
        let rests = state.running == 0 && !is_queued && !self.port.sender.is_closed();
        self.rests.store(rests, Ordering::Relaxed);
        if rests {
            state.ready.shrink_to_fit();
            self.port.sender.free_memory();
        }
    }

    /// Whether no worker is in the call or about to run it. It waits for its timer, for a slot, for
    /// the sender of a push job, or for a wake-up.
    ///
    /// Of the worker that sets this and the response writer that takes the last message, the later
    /// one frees the channel's memory.
    pub(in crate::engine) fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    /// True once no producer may be called again.
    pub(super) fn is_finished(&self) -> bool {
        self.port.context.is_over() || self.port.sender.is_closed()
    }
}

/// Takes the permit once no thread works for the call.
fn take_permit<T: 'static>(state: &mut State<T>) -> Option<Permit> {
    let is_done = state.writer_is_dropped
        && state.running == 0
        && matches!(state.queue_state, QueueState::Idle)
        && !state.holds_code();
    state.permit.take_if(|_| is_done)
}

impl<T: Send + 'static> Wakeable for Call<T> {
    fn wake_polled(self: Arc<Self>) {
        let mut state = self.lock();
        if state.wake() {
            self.settle(state, None);
        }
    }
}

impl<T: Send + 'static> OpenStream for Call<T> {
    fn terminate(&self, termination: Termination) {
        match termination {
            // If the channel is closed, the producers have ended or the call has failed.
            Termination::Graceful(status) => self.close_with(status.into(), |was_open| was_open),
            Termination::Abort(status) => {
                self.fail(status.into());
                self.terminator.raise(Level::Abort);
            }
            Termination::Cut => self.terminator.raise(Level::Cut),
        }
    }

    fn drain(self: Arc<Self>) {
        self.context().wake_sleepers();
        let mut state = self.lock();
        if state.drain() {
            self.settle(state, None);
        }
    }

    fn waiting_at(&self) -> u32 {
        self.terminator.waiting_at()
    }

    fn counts(&self) -> Counts {
        let mut counts = self.counters.counts();
        counts.slots = self.port.sender.slots_taken();
        counts
    }
}
