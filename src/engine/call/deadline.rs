//! The time of a client's deadline. grpcio's `Deadline` has no accessor, so this file reads its
//! only field; it must not know calls.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use grpcio::Deadline;

/// The C-core's `gpr_timespec`, the only field of a [`Deadline`]; on the real-time clock.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i32,
    _clock: i32,
}

const _: () = assert!(size_of::<Deadline>() == 16 && align_of::<Deadline>() == 8);

/// Converts a deadline; `None` if it is infinite. Later changes of the system's clock do not move
/// the result.
pub(in crate::engine) fn instant_of(deadline: Deadline) -> Option<Instant> {
    let Timespec {
        seconds,
        nanoseconds,
        ..
    } = timespec(deadline);
    // The C-core's infinite future is the largest number of seconds.
    if seconds == i64::MAX {
        return None;
    }
    let (now, clock) = (Instant::now(), SystemTime::now());
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let nanoseconds = u32::try_from(nanoseconds).unwrap_or(0);
    let since_epoch = Duration::new(seconds, nanoseconds.min(999_999_999));
    let left = match clock.duration_since(UNIX_EPOCH) {
        Ok(passed) => since_epoch.saturating_sub(passed),
        Err(before) => since_epoch.saturating_add(before.duration()),
    };
    now.checked_add(left)
}

#[allow(unsafe_code)]
fn timespec(deadline: Deadline) -> Timespec {
    // SAFETY: `Deadline` has one field, a `gpr_timespec`: a C struct of an i64 and two 32-bit
    // integers, as `Timespec` is, in which all bytes belong to a field and all values are valid. A
    // struct of the size of its only field has it at offset 0; the sizes are checked above, and by
    // `transmute`.
    unsafe { std::mem::transmute::<Deadline, Timespec>(deadline) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_comes_back() {
        let deadline = instant_of(Deadline::from(Duration::from_secs(5))).unwrap();
        let left = deadline.saturating_duration_since(Instant::now());
        let expected = Duration::from_secs(4)..=Duration::from_secs(5);
        assert!(expected.contains(&left), "{left:?}");
    }

    #[test]
    fn a_deadline_that_has_passed_is_not_in_the_future() {
        let deadline = instant_of(Deadline::from(Duration::ZERO)).unwrap();
        assert!(deadline <= Instant::now());
    }

    #[test]
    fn an_infinite_deadline_is_none() {
        let forever = Duration::from_secs(i64::MAX as u64);
        assert_eq!(instant_of(Deadline::from(forever)), None);
    }
}
