//! The synchronisation primitives of `channel/wake.rs` and `termination.rs`.
//!
//! `tests/loom.rs` compiles the same two files against loom's primitives. Add nothing else here.

pub(crate) use std::sync::atomic::{fence, AtomicBool, AtomicU32, AtomicU8, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard as Guard};

/// Locks a mutex whose value stays whole even if its holder panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Guard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
