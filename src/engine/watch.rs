//! What a call and its producers tell each other beside messages. It knows nothing of jobs or
//! channels.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Tells whether a call is over: for producers that stay long in `next` and want to stop early.
#[derive(Clone, Debug, Default)]
pub struct CallWatch(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    over: AtomicBool,
    subject: OnceLock<i64>,
}

impl CallWatch {
    /// True once nothing that the call produces can reach its client any more.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }

    /// Says what the call is about, such as the id in its request, for logs and traces. The first
    /// one counts.
    pub fn set_subject(&self, id: i64) {
        let _ = self.0.subject.set(id);
    }

    pub(super) fn subject(&self) -> Option<i64> {
        self.0.subject.get().copied()
    }

    /// True when it was over before.
    pub(super) fn end(&self) -> bool {
        self.0.over.swap(true, Ordering::AcqRel)
    }
}
