//! The synchronisation primitives that `channel/wake.rs` and `call/termination.rs` are written in.
//!
//! `tests/loom.rs` compiles the same two files against loom's. Nothing else belongs here.

pub(crate) use std::sync::atomic::{fence, AtomicBool, AtomicU32, AtomicU8, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard as Guard};

/// Locks a mutex under which no code panics that could leave its value in pieces.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Guard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
