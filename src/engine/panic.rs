//! Catches and logs panics of user code, so that they end neither a thread nor the process. It must
//! not know the code that it runs.

use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs `run`. A panic is logged under `name`, and the result is `None`.
pub(crate) fn run_caught<R>(name: &str, run: impl FnOnce() -> R) -> Option<R> {
    // No caller uses state afterwards that `run` could have left half changed.
    let result = catch_unwind(AssertUnwindSafe(run));
    result
        .map_err(|payload| {
            tracing::error!("{name} panicked");
            drop_payload(payload);
        })
        .ok()
}

/// Drops `value` and logs a panic in its `Drop`. Drop several values one by one: two panics in one
/// drop abort the process.
pub(crate) fn drop_caught<T>(value: T) {
    run_caught("the drop of a value", || drop(value));
}

/// A payload is any value, so its own `Drop` may panic; such a payload is leaked.
fn drop_payload(payload: Box<dyn std::any::Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicOnDrop;

    impl Drop for PanicOnDrop {
        fn drop(&mut self) {
            panic!("as it should");
        }
    }

    #[test]
    fn panics_are_caught_including_those_of_a_payload() {
        assert_eq!(run_caught("a test", || 1), Some(1));
        assert_eq!(run_caught("a test", || panic!("as it should")), None::<()>);
        let payload = || std::panic::panic_any(PanicOnDrop);
        assert_eq!(run_caught("a test", payload), None::<()>);
        drop_caught(PanicOnDrop);
    }
}
