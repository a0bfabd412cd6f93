//! A producer's view of its call. It knows nothing of jobs or channels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The call that a producer works for. Clones are the same call.
#[derive(Clone, Debug, Default)]
pub struct CallContext(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    subject: OnceLock<i64>,
}

impl CallContext {
    /// True once no response of the call can reach its client any more. A producer that stays long
    /// in `next` should check it and stop early.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }

    /// Sets the subject of the call for logs and traces, such as the id in its request. The first
    /// one counts.
    pub fn set_subject(&self, id: i64) {
        let _ = self.0.subject.set(id);
    }

    pub(in crate::engine) fn subject(&self) -> Option<i64> {
        self.0.subject.get().copied()
    }

    /// True when the call was over before.
    pub(in crate::engine) fn set_over(&self) -> bool {
        self.0.over.swap(true, Ordering::AcqRel)
    }
}
