//! What a call tells of itself: since when it is there, what it has come to, and with what it ended.

use std::sync::atomic::Ordering;
use std::time::Instant;

use grpcio::RpcStatusCode;

use super::super::ending::Ending;
use super::super::meter::{Counts, Tally};
use super::super::observe::CallEnd;
use super::super::registry::Overseen;
use super::Call;

impl<T> Call<T> {
    pub(in crate::engine) fn arrived(&self) -> Instant {
        self.arrived
    }

    pub(in crate::engine) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What it has come to so far. Takes no lock.
    pub(in crate::engine) fn counts(&self) -> Counts {
        let mut counts = self.tally.counts();
        counts.slots = self.fill.slots();
        counts
    }

    /// What its client is told, or would be.
    pub(in crate::engine) fn set_code(&self, code: RpcStatusCode) {
        self.code.store(code.into(), Ordering::Relaxed);
    }

    pub(in crate::engine) fn code(&self) -> RpcStatusCode {
        self.code.load(Ordering::Relaxed).into()
    }
}

impl<T: Send + 'static> Overseen for Call<T> {
    fn ending(&self) -> &Ending {
        Call::ending(self)
    }

    fn counts(&self) -> Counts {
        Call::counts(self)
    }

    fn end(&self) -> CallEnd {
        CallEnd {
            code: self.code(),
            counts: Call::counts(self),
            lasted: self.arrived.elapsed(),
            subject: self.watch.subject(),
            refused: None,
        }
    }
}
