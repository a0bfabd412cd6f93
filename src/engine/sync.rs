//! The synchronisation primitives that [`super::wake`] is written in.
//!
//! A name of its own, so that `tests/wake_model.rs` can compile the very same `wake.rs` against
//! loom's. Nothing else belongs here.

pub(crate) use std::sync::atomic::{fence, AtomicBool, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard as Guard};
