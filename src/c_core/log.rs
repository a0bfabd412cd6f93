//! Redirects the C-core's log from standard error, which belongs to the program, to `tracing`. It
//! must not know the program's log.
//!
//! | the C-core's | here |
//! | --- | --- |
//! | error: mostly faults of one client, which its status names as well | DEBUG |
//! | information, debugging (only with `GRPC_VERBOSITY`, or if TRACE is on at the start) | TRACE |
//! | no descriptor left for a new connection, once a second | WARN, once for each [`QUIET`] spell |
//! | a listener has failed, and accepts no more | ERROR |

use std::ffi::{c_char, c_int, CStr};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;

/// The C-core's `gpr_log_func_args`.
#[repr(C)]
struct Entry {
    file: *const c_char,
    line: c_int,
    severity: c_int,
    message: *const c_char,
}

/// The C-core's severities.
const DEBUG: c_int = 0;
const ERROR: c_int = 2;

extern "C" {
    fn gpr_set_log_function(write: Option<extern "C" fn(*mut Entry)>);
    fn gpr_set_log_verbosity(least: c_int);
}

/// Redirects the C-core's log of this process. Only the first call has an effect: a program may
/// redirect it elsewhere later, for example by [`grpcio::redirect_log`].
#[allow(unsafe_code)]
pub(crate) fn redirect_log() {
    static FIRST: Once = Once::new();

    FIRST.call_once(|| {
        // SAFETY: `write` obeys the contract of the C-core's log functions and exists for ever.
        unsafe { gpr_set_log_function(Some(write)) };
        if tracing::enabled!(Level::TRACE) {
            // SAFETY: it takes any severity, at any time.
            unsafe { gpr_set_log_verbosity(DEBUG) };
        }
    });
}

/// The C-core calls it on any thread.
#[allow(unsafe_code)]
extern "C" fn write(entry: *mut Entry) {
    // SAFETY: the C-core passes a valid entry.
    let entry = unsafe { &*entry };
    // SAFETY: both are NUL-terminated, and valid during this call.
    let (file, message) = unsafe { (CStr::from_ptr(entry.file), CStr::from_ptr(entry.message)) };
    let (file, message) = (file.to_string_lossy(), message.to_string_lossy());
    let file = file.rsplit('/').next().unwrap_or_default();
    log(entry.severity, file, entry.line, &message);
}

fn log(severity: c_int, file: &str, line: c_int, message: &str) {
    match severity {
        ERROR => tracing::debug!("{message} ({file}:{line})"),
        _ => tracing::trace!("{message} ({file}:{line})"),
    }
    if message.starts_with(NO_DESCRIPTOR) {
        static REPORTS: Mutex<Reports> = Mutex::new(Reports { last: None });

        let mut reports = REPORTS.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.begin(Instant::now()) {
            tracing::warn!(
                "no file descriptor is left, and new connections wait for one: see `ulimit -n`"
            );
        }
    } else if let Some(reason) = message.strip_prefix(ACCEPT_FAILED) {
        tracing::error!("a listener has failed and accepts no more connections: {reason}");
    }
}

/// Messages of `tcp_server_posix.cc`. The first comes every second or two while a connection waits.
const NO_DESCRIPTOR: &str = "File descriptor limit reached.";
const ACCEPT_FAILED: &str = "Failed accept4: ";

/// Time without a report after which the next one is news.
const QUIET: Duration = Duration::from_secs(30);

/// Repeated reports of one fact.
struct Reports {
    last: Option<Instant>,
}

impl Reports {
    /// Returns true for the first report of a spell.
    fn begin(&mut self, now: Instant) -> bool {
        let last = self.last.replace(now);
        last.is_none_or(|last| now.saturating_duration_since(last) >= QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Events;
    use super::*;

    extern "C" {
        fn gpr_log_message(
            file: *const c_char,
            line: c_int,
            severity: c_int,
            message: *const c_char,
        );
    }

    #[test]
    #[allow(unsafe_code)]
    fn the_c_cores_errors_go_to_tracing() {
        redirect_log();
        // The C-core logs nothing before its initialization.
        let _initialized = grpcio::Environment::new(1);
        let events = Events::of(|| {
            // SAFETY: both texts are NUL-terminated.
            unsafe { gpr_log_message(c"/src/a.cc".as_ptr(), 7, ERROR, c"bad header".as_ptr()) }
        });
        assert_eq!(events, [(Level::DEBUG, "bad header (a.cc:7)".into())]);
    }

    #[test]
    fn a_failed_listener_is_an_error() {
        let events = Events::of(|| log(ERROR, "tcp.cc", 1, "Failed accept4: No buffer space"));
        let said = "a listener has failed and accepts no more connections: No buffer space";
        assert_eq!(events.last(), Some(&(Level::ERROR, said.into())));
    }

    #[test]
    fn a_lack_of_descriptors_is_a_warning() {
        let message = "File descriptor limit reached. Retrying.";
        let events = Events::of(|| (0..2).for_each(|_| log(ERROR, "tcp.cc", 1, message)));
        let warnings = events.iter().filter(|(level, _)| *level == Level::WARN);
        assert_eq!(warnings.count(), 1, "{events:?}");
    }

    #[test]
    fn the_first_report_of_each_spell_is_news() {
        let mut reports = Reports { last: None };
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert!(reports.begin(start));
        assert!((1..60).all(|n| !reports.begin(start + n * second)));
        assert!(reports.begin(start + 59 * second + QUIET));
    }
}
