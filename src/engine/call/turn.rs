//! Turns of a call: the right to run its code. A worker has one for a slice, for a step of the job
//! source or for a heartbeat; the senders of a push job share one. The drop of a turn is its only
//! end: it puts the strand back and settles the call.

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Instant;

use super::super::channel::{SendError, TrySendError};
use super::super::limits::Permit;
use super::super::panic::drop_caught;
use super::super::workers::{Task, Workers};
use super::body::Body;
use super::heartbeat::Heartbeat;
use super::job_source::JobSource;
use super::lifecycle::Call;
use super::state::{QueueState, Work};
use super::strand::{run_user_code, Pause, Strand};
use super::stream_sender::{Push, StreamSender};
use crate::Status;

/// A worker's turn.
struct Turn<'a, T: Send + 'static> {
    call: &'a Arc<Call<T>>,
    /// `None` if no strand is left: the source had none, or this was a heartbeat.
    pause: Option<Pause<T>>,
}

impl<T: Send + 'static> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let call = self.call;
        let pause = match self.pause.take() {
            Some(Pause::Slot(strand)) => return call.park(strand),
            pause => pause,
        };
        let mut state = call.lock();
        let failure = state.put_back(pause);
        call.settle(state, failure);
    }
}

impl<T: Send + 'static> Task for Call<T> {
    fn run(self: Arc<Self>) {
        self.turn(true);
    }
}

impl<T: Send + 'static> Wake for Call<T> {
    /// The channel is at its low-water mark, or closed.
    fn wake(self: Arc<Self>) {
        let mut state = self.lock();
        state.unpark();
        self.counters().set_parked(0);
        self.settle(state, None);
    }
}

impl<T: Send + 'static> Call<T> {
    /// Puts the call into the workers' queue for the first time.
    pub(in crate::engine) fn start(self: &Arc<Self>, permit: Permit) {
        self.admit(permit);
        self.settle(self.lock(), None);
    }

    /// Runs the first turn in the calling thread; see [`Streams::direct`](super::super::Streams::direct).
    pub(in crate::engine) fn start_directly(self: &Arc<Self>, permit: Permit) {
        self.admit(permit);
        self.turn(false);
    }

    /// One turn. A thread that must not block leaves push jobs to the workers.
    fn turn(self: &Arc<Self>, may_block: bool) {
        let Some((mut turn, work)) = self.take() else {
            return;
        };
        let strand = match work {
            // The job that starts runs in the same turn: most calls have one job, due now.
            Work::Source(source) => self.advance(source),
            Work::Strand(strand, may_send) => Some((strand, may_send)),
            Work::Discard(discarded) => {
                // The timer of the heartbeat check would keep the call's memory.
                if let Some(timer) = discarded.timer() {
                    self.port.workers.cancel(timer);
                }
                discarded.discard();
                None
            }
        };
        turn.pause = strand.map(|(mut strand, may_send)| {
            if let Body::Poll(polled) = &mut strand.body {
                polled.connect(|| Arc::<Call<T>>::downgrade(self));
            }
            if strand.is_push() && !may_block {
                return Pause::Ready(strand);
            }
            strand.run(&self.port, may_send, |number| {
                let call = self.clone();
                StreamSender::new(CallSender { call, number })
            })
        });
    }

    fn take(self: &Arc<Self>) -> Option<(Turn<'_, T>, Work<T>)> {
        let mut state = self.lock();
        state.queue_state = QueueState::Idle;
        let work = match self.is_finished() {
            true => state.take_code().map(Work::Discard),
            false => state.take(Instant::now),
        };
        if work.is_some() {
            state.begin_turn();
        }
        // Another worker may take further work at the same time.
        self.settle(state, None);
        let turn = |work| {
            let turn = Turn {
                call: self,
                pause: None,
            };
            (turn, work)
        };
        work.map(turn)
    }

    /// Takes one step of the job source; returns the strand to run now, and whether it may send.
    fn advance(self: &Arc<Self>, mut source: JobSource<T>) -> Option<(Strand<T>, bool)> {
        let mut extras = None;
        let step = run_user_code("a job source", || {
            source.step(&self.port.context, self.port.arrived, &mut extras)
        });
        let body = match step {
            Ok(body) => {
                if self.port.context.take_early_headers() {
                    self.port.sender.send_headers();
                }
                body
            }
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
                let first = self.port.arrived.checked_add(heartbeat.interval());
                self.check_heartbeat_at(heartbeat, first.unwrap_or_else(Instant::now));
            }
        }
        let strand = state.start(body?);
        self.settle(state, None);
        Some(strand)
    }

    /// Ends a turn with a strand that waits for a slot. It needs no thread meanwhile.
    fn park(self: &Arc<Self>, strand: Strand<T>) {
        let waker = Waker::from(self.clone());
        let mut state = self.lock();
        // Registered under the lock, so the wake-up cannot come before the strand is parked.
        let pause = match self.port.sender.has_free_slot_or_wake(&waker) {
            true => Pause::Ready(strand),
            false => Pause::Slot(strand),
        };
        let is_parked = matches!(pause, Pause::Slot(_));
        let failure = state.put_back(Some(pause));
        if is_parked {
            self.counters().stalled(state.parked());
        }
        self.settle(state, failure);
    }

    fn check_heartbeat_at(self: &Arc<Self>, heartbeat: &mut Heartbeat<T>, due: Instant) {
        let check = Arc::new(HeartbeatCheck(Arc::downgrade(self)));
        heartbeat.set_timer(self.port.workers.submit_at(due, check));
    }

    fn check_heartbeat(self: &Arc<Self>) {
        let mut state = self.lock();
        if self.is_finished() {
            return;
        }
        let sender = &self.port.sender;
        let is_waiting = sender.slots_taken() > 0 || self.terminator().waiting_at() != 0;
        let messages = self.counters().counts().messages;
        let Some(heartbeat) = state.heartbeat() else {
            return;
        };
        self.check_heartbeat_at(heartbeat, Instant::now() + heartbeat.interval() / 2);
        // `None` too while another worker is in a `make` that takes longer than an interval.
        let Some(mut make) = heartbeat.take_due(messages, is_waiting) else {
            return;
        };
        // A call with a worker in user code does not end with OK.
        state.begin_turn();
        drop(state);
        let mut turn = Turn {
            call: self,
            pause: None,
        };
        match run_user_code("a heartbeat", &mut make) {
            Ok(message) if !sender.is_closed() => {
                if let Err(SendError(message)) = sender.send_ignoring_capacity(message) {
                    drop_caught(message);
                }
            }
            Ok(message) => drop_caught(message),
            Err(status) => turn.pause = Some(Pause::Ended(None, Err(status))),
        }
        let mut state = self.lock();
        match state.heartbeat() {
            Some(heartbeat) => heartbeat.put_back(make),
            // The call has ended meanwhile.
            None => {
                drop(state);
                drop_caught(make);
            }
        }
    }
}

/// The next heartbeat check of a call.
struct HeartbeatCheck<T: Send + 'static>(Weak<Call<T>>);

impl<T: Send + 'static> Task for HeartbeatCheck<T> {
    fn run(self: Arc<Self>) {
        if let Some(call) = self.0.upgrade() {
            call.check_heartbeat();
        }
    }

    /// It is for streams whose producers keep all workers busy.
    fn is_urgent(&self) -> bool {
        true
    }
}

/// The turn of a push job, which its senders share: sends into the call itself.
struct CallSender<T: Send + 'static> {
    call: Arc<Call<T>>,
    /// The job's number in an ordered call; the job is first.
    number: Option<u64>,
}

impl<T: Send + 'static> Push<T> for CallSender<T> {
    fn send(&self, message: T) -> Result<(), SendError<T>> {
        let sender = &self.call.port.sender;
        match sender.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(message)) => Err(SendError(message)),
            Err(TrySendError::Full(message)) => {
                let state = self.call.lock();
                self.call.counters().stalled(state.parked());
                drop(state);
                sender.send(message)
            }
        }
    }

    fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.call.port.sender.try_send(message)
    }

    fn fail(&self, status: Status) {
        self.call.fail(status);
        // A worker can drop the call's other user code before the reader is done.
        self.call.settle(self.call.lock(), None);
    }

    fn is_closed(&self) -> bool {
        self.call.port.sender.is_closed()
    }

    fn wake_on_close(&self, waker: &Waker) {
        self.call.port.sender.wake_on_close(waker);
    }

    fn wait_until_closed(&self, deadline: Option<Instant>) -> bool {
        self.call.port.sender.wait_until_closed(deadline)
    }

    fn workers(&self) -> &Workers {
        &self.call.port.workers
    }
}

impl<T: Send + 'static> Drop for CallSender<T> {
    fn drop(&mut self) {
        let mut state = self.call.lock();
        let failure = state.end_push(self.number);
        self.call.settle(state, failure);
    }
}
