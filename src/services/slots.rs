//! A bound on how many calls of a kind are open at once. It only counts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use grpcio::{RpcStatus, RpcStatusCode};

/// The places that there are; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    taken: Arc<AtomicUsize>,
    limit: usize,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<AtomicUsize>);

impl Slots {
    pub(super) fn new(limit: usize) -> Slots {
        Slots {
            taken: Arc::default(),
            limit,
        }
    }

    /// Takes a place for a call of `what`; RESOURCE_EXHAUSTED when there is none left.
    pub(super) fn take(&self, what: &str) -> Result<Slot, RpcStatus> {
        let slot = Slot(self.taken.clone());
        if self.taken.fetch_add(1, Ordering::Relaxed) < self.limit {
            return Ok(slot);
        }
        let text = format!(
            "{} calls of {what} are open, which is the limit; try again later",
            self.limit
        );
        Err(super::status(RpcStatusCode::RESOURCE_EXHAUSTED, text))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back() {
        let slots = Slots::new(1);
        let taken = slots.take("a").unwrap();
        let refused = slots.take("Health/Watch").unwrap_err();
        assert_eq!(refused.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
        assert!(refused.message().starts_with("1 calls of Health/Watch"));
        drop(taken);
        assert!(slots.take("a").is_ok());
    }
}
