//! The end of a worker's turn in a call. If the channel is full, the producer is parked here,
//! without a thread, until the channel is at its low-water mark. Runs no user code and never
//! blocks.

use std::sync::{Arc, MutexGuard};
use std::task::{Wake, Waker};

use grpcio::RpcStatus;

use super::job_source::JobSource;
use super::ordered::OrderedJob;
use super::state::{Started, State};
use super::Call;

/// The state of a job after its turn.
pub(super) enum Left<T> {
    Nothing,
    /// It has used its slice.
    Ready(Started<T>),
    /// It found the channel full.
    Full(Started<T>),
    /// It waits for its turn in an ordered call.
    Waiting(Box<OrderedJob<T>>),
    /// The job of this number in an ordered call has ended.
    Ended(u64, Option<RpcStatus>),
}

impl<T: Send + 'static> Call<T> {
    /// Ends the turn: keeps, parks or ends its job.
    pub(super) fn leave(self: &Arc<Self>, left: Left<T>) {
        let waker = match left {
            Left::Full(_) => Some(Waker::from(self.clone())),
            _ => None,
        };
        let mut state = self.lock();
        state.active -= 1;
        let mut is_closed = false;
        match (left, waker) {
            // Registered under the lock, so the wake-up cannot come before the producer is parked.
            (Left::Full(started), Some(waker)) if !self.sender.has_free_slot_or_wake(&waker) => {
                state.parked.push(started);
                self.counters.stalled(state.parked.len());
            }
            (Left::Full(started) | Left::Ready(started), _) => state.ready.push_back(started),
            (Left::Waiting(job), _) => {
                let is_first = state.order().and_then(|order| order.wait(job));
                state.ready.extend(is_first.map(Started::Ordered));
            }
            (Left::Ended(number, failure), _) => {
                is_closed = self.end_ordered(&mut state, number, failure);
            }
            (Left::Nothing, _) => {}
        }
        self.conclude(state, is_closed);
    }

    /// Records the end of an ordered job. True if that ends the call, for [`Call::conclude`].
    pub(super) fn end_ordered(
        &self,
        state: &mut State<T>,
        number: u64,
        failure: Option<RpcStatus>,
    ) -> bool {
        let Some(status) = state.end_ordered(number, failure) else {
            return false;
        };
        self.mark_failed(status, |_| true);
        true
    }

    /// Closes the channel if all jobs have ended, settles the call, and releases its permit if no
    /// thread works for it any more. Wakes both ends of the channel if it was closed here or, with
    /// `is_closed`, by the caller.
    pub(super) fn conclude(self: &Arc<Self>, mut state: MutexGuard<'_, State<T>>, is_closed: bool) {
        let is_complete = matches!(state.source, JobSource::Exhausted) && state.started() == 0;
        let closes = is_complete && self.sender.mark_closed() || is_closed;
        self.settle(&mut state);
        let permit = self.take_permit(&mut state);
        drop(state);
        if closes {
            self.sender.wake_both();
        }
        drop(permit);
    }
}

impl<T: Send + 'static> Wake for Call<T> {
    /// Unparks all producers: the channel is at its low-water mark, or closed.
    fn wake(self: Arc<Self>) {
        let mut state = self.lock();
        let parked = std::mem::take(&mut state.parked);
        self.counters.set_parked(0);
        state.ready.extend(parked);
        self.settle(&mut state);
    }
}
