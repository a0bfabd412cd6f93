//! How a call is ended from outside, and what shows whether its reader reads: the few words that
//! whoever oversees the streams and the drain of one of them have for each other.
//!
//! It decides nothing: the overseer or a shutdown asks, the drain looks and does.

use std::sync::atomic::{AtomicU32, AtomicU8, Ordering};
use std::sync::OnceLock;
use std::task::Waker;

use futures::task::AtomicWaker;
use grpcio::RpcStatus;

/// How soon a call is to end. It only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// When its producers have ended.
    None,
    /// After what they have made so far.
    Finish,
    /// Without what is still in the channel.
    Abort,
    /// Now, also when no status can reach the reader.
    Cut,
}

impl Urgency {
    const ALL: [Urgency; 4] = [Urgency::None, Urgency::Finish, Urgency::Abort, Urgency::Cut];
}

/// A part of each call.
#[derive(Default)]
pub(super) struct Ending {
    /// What the call ends with, if not OK: the first failure. Set before the channel is closed.
    failure: OnceLock<Box<RpcStatus>>,
    /// What it ends with when it is told to finish before its producers have ended.
    notice: OnceLock<Box<RpcStatus>>,
    /// An index of [`Urgency::ALL`].
    urgency: AtomicU8,
    /// The drain, to hear of `urgency` whatever it waits for.
    drain: AtomicWaker,
    /// What the sink had taken when the drain began to wait for it; 0 while it does not.
    unread_since: AtomicU32,
}

impl Ending {
    /// What the call ends with; `None` is OK.
    pub(super) fn failure(&self) -> Option<&RpcStatus> {
        self.failure.get().map(|status| &**status)
    }

    /// The call has failed. The first failure is the one that counts.
    pub(super) fn fail(&self, status: RpcStatus) {
        let _ = self.failure.set(Box::new(status));
    }

    #[inline]
    pub(super) fn urgency(&self) -> Urgency {
        Urgency::ALL[usize::from(self.urgency.load(Ordering::Acquire) & 3)]
    }

    /// Ends the call with `status` after what its producers have made so far, unless they have
    /// ended.
    pub(super) fn finish(&self, status: RpcStatus) {
        let _ = self.notice.set(Box::new(status));
        self.hurry(Urgency::Finish);
    }

    /// The drain finishes before the producers have ended.
    pub(super) fn fail_as_noticed(&self) {
        if let Some(status) = self.notice.get() {
            let _ = self.failure.set(status.clone());
        }
    }

    /// Ends the call with `status` as soon as the drain can, unless it has failed already.
    pub(super) fn abort(&self, status: RpcStatus) {
        self.fail(status);
        self.hurry(Urgency::Abort);
    }

    /// Ends the call now. A reader that has not read its status by now gets CANCELLED.
    pub(super) fn cut(&self) {
        self.hurry(Urgency::Cut);
    }

    fn hurry(&self, urgency: Urgency) {
        self.urgency.fetch_max(urgency as u8, Ordering::AcqRel);
        self.drain.wake();
    }

    /// Where the drain registers to hear of what it is asked.
    pub(super) fn register(&self, waker: &Waker) {
        self.drain.register(waker);
    }

    /// The drain waits for the reader, with `taken` of what it had taken: not 0.
    pub(super) fn wait_for_reader(&self, taken: u32) {
        self.unread_since.store(taken, Ordering::Relaxed);
    }

    /// The drain waits for it no longer.
    pub(super) fn stop_waiting(&self) {
        self.unread_since.store(0, Ordering::Relaxed);
    }

    /// The same number twice, and not 0: the reader has taken nothing in between.
    pub(super) fn unread_since(&self) -> u32 {
        self.unread_since.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use grpcio::RpcStatusCode;

    use super::*;

    #[test]
    fn urgency_only_grows() {
        let ending = Ending::default();
        assert_eq!(ending.urgency(), Urgency::None);
        ending.abort(RpcStatus::new(RpcStatusCode::UNAVAILABLE));
        ending.finish(RpcStatus::new(RpcStatusCode::ABORTED));
        assert_eq!(ending.urgency(), Urgency::Abort);
        ending.fail_as_noticed();
        let code = ending.failure().unwrap().code();
        assert_eq!(code, RpcStatusCode::UNAVAILABLE);
        ending.cut();
        assert_eq!(ending.urgency(), Urgency::Cut);
    }
}
