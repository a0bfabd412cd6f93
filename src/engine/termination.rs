//! Termination of one call from outside, and the progress of its reader. The limit enforcer and the
//! shutdown request it; the response writer carries it out. It must not know messages or sinks.
//!
//! | state \ event | fail | graceful | abort | cut |
//! | --- | --- | --- | --- | --- |
//! | open | failing: the queue is still sent | as fail, unless the producers have ended | aborting: the queue is dropped | cut: no status |
//! | failing | – | – | aborting, with the first status | cut |
//! | aborting | – | – | – | cut |
//! | sealed (the status is on its way) | – | – | – | cut |
//!
//! The level never falls, and the first failure is the status. One lock, held for a few
//! instructions, protects the state; the level can be read without it.

use std::task::Waker;

use grpcio::RpcStatus;

use super::sync::{lock, AtomicU32, AtomicU8, Mutex, Ordering};

/// A way to end a call, from mild to harsh.
#[derive(Clone, Debug)]
pub(crate) enum Termination {
    /// With this status, after all messages in its channel. A call whose producers have ended keeps
    /// its own outcome.
    Graceful(RpcStatus),
    /// With this status or that of an earlier failure, without the messages in its channel.
    Abort(RpcStatus),
    /// At once, without a status.
    Cut,
}

/// The part of a [`Termination`] that concerns the response writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    /// Send all messages in the channel, then the status.
    Open,
    /// Send the status.
    Abort,
    /// Send nothing.
    Cut,
}

/// Terminates one call.
#[derive(Default)]
pub(crate) struct Terminator {
    /// A [`Level`]; written under the lock.
    level: AtomicU8,
    /// See [`Terminator::wait_for_reader`].
    waiting_at: AtomicU32,
    state: Mutex<Ending>,
}

#[derive(Default)]
struct Ending {
    /// The first failure; `None` is OK.
    failure: Option<Box<RpcStatus>>,
    /// The writer has taken the status; later failures have no effect.
    sealed: bool,
    /// The writer's waker. It stays until the writer detaches, so no event between two polls is
    /// lost.
    writer: Option<Waker>,
}

impl Terminator {
    #[inline]
    pub(crate) fn level(&self) -> Level {
        match self.level.load(Ordering::Acquire) {
            0 => Level::Open,
            1 => Level::Abort,
            _ => Level::Cut,
        }
    }

    /// Sets the failure if none is set and `when` returns true. `when` runs under the lock, so a
    /// writer that sees its effect sees the failure too.
    pub(crate) fn fail(&self, status: RpcStatus, when: impl FnOnce() -> bool) {
        let mut state = lock(&self.state);
        if !state.sealed && when() && state.failure.is_none() {
            state.failure = Some(Box::new(status));
        }
    }

    /// Replaces an earlier failure: messages made before that one are lost.
    pub(crate) fn fail_anew(&self, status: RpcStatus) {
        let mut state = lock(&self.state);
        if !state.sealed {
            state.failure = Some(Box::new(status));
        }
    }

    /// Raises the level and wakes the writer.
    pub(crate) fn raise(&self, level: Level) {
        let state = lock(&self.state);
        self.level.fetch_max(level as u8, Ordering::AcqRel);
        let writer = state.writer.clone();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// Registers the writer's waker for all later events. The writer calls this before it reads the
    /// level.
    pub(crate) fn attach(&self, writer: &Waker) {
        let mut state = lock(&self.state);
        if !state.writer.as_ref().is_some_and(|w| w.will_wake(writer)) {
            state.writer = Some(writer.clone());
        }
    }

    /// Drops the writer's waker, which keeps the C-core's call alive.
    pub(crate) fn detach(&self) {
        let writer = lock(&self.state).writer.take();
        drop(writer);
    }

    /// Fixes and returns the status of the call; `None` is OK.
    pub(crate) fn seal(&self) -> Option<RpcStatus> {
        let mut state = lock(&self.state);
        state.sealed = true;
        state.failure.as_deref().cloned()
    }

    /// Records that the writer waits for the reader, which has taken `taken` messages so far; not
    /// 0.
    pub(crate) fn wait_for_reader(&self, taken: u32) {
        self.waiting_at.store(taken, Ordering::Relaxed);
    }

    /// Records that the writer no longer waits for the reader.
    pub(crate) fn stop_waiting(&self) {
        self.waiting_at.store(0, Ordering::Relaxed);
    }

    /// 0 while the writer does not wait for the reader. If two reads return the same other number,
    /// the reader has taken nothing in between.
    pub(crate) fn waiting_at(&self) -> u32 {
        self.waiting_at.load(Ordering::Relaxed)
    }
}
