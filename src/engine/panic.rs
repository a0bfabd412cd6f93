//! Running user code where a panic must not spread: to a thread of the engine, or to another call.
//! It knows nothing of the code that it runs.

use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs `code`; `None` when it panicked. The panic hook has reported the panic by then.
pub(crate) fn catch<R>(code: impl FnOnce() -> R) -> Option<R> {
    // The caller discards what a panic may have left in pieces.
    catch_unwind(AssertUnwindSafe(code)).ok()
}

/// Drops `value`. A panic in its `Drop` ends here: while another value is dropped it would abort
/// the process, and on a poll thread it would end that thread.
pub(crate) fn drop_caught<T>(value: T) {
    if catch(move || drop(value)).is_none() {
        tracing::error!("a Drop panicked; what it left is leaked");
    }
}
