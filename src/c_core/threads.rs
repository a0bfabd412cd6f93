//! Checks that the system grants the threads of a server or a client, before the C-core needs them.
//! grpcio panics without its poll threads. The C-core goes on without its own, but waits for them
//! for ever when it ends: a server would serve, and SIGTERM would not end it.

use std::ffi::c_uint;
use std::io;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::bounded;

/// Two executors of the C-core and its timer thread.
const EXECUTORS_AND_TIMER: usize = 3;

/// Threads that the C-core adds when several timers expire at once.
const SPARE: usize = 2;

extern "C" {
    fn gpr_cpu_num_cores() -> c_uint;
}

/// Starts as many threads as are needed beside those that run already, and ends them: `own` threads,
/// poll threads included, and those of the C-core. Takes some 20 µs a thread.
///
/// # Errors
/// If the system refuses one. The message has the numbers, and names the limits.
pub(crate) fn check_threads(own: usize) -> io::Result<()> {
    let start = |wait: Wait| Builder::new().spawn(wait);
    start_at_once(own + of_c_core(processors()), start)
}

/// The C-core's threads on a machine with so many processors. Its event engine has one a processor,
/// 2 to 16, and one for timers.
fn of_c_core(processors: usize) -> usize {
    EXECUTORS_AND_TIMER + processors.clamp(2, 16) + 1 + SPARE
}

/// The processors that the C-core counts, available to this process or not.
#[allow(unsafe_code)]
fn processors() -> usize {
    // SAFETY: it takes nothing, and may be called at any time.
    unsafe { gpr_cpu_num_cores() as usize }
}

type Wait = Box<dyn FnOnce() + Send>;

fn start_at_once(
    needed: usize,
    start: impl Fn(Wait) -> io::Result<JoinHandle<()>>,
) -> io::Result<()> {
    let (release, released) = bounded::<()>(0);
    let mut threads = Vec::with_capacity(needed);
    let mut refused = None;
    while threads.len() < needed && refused.is_none() {
        let released = released.clone();
        // Each waits for the sender's end.
        let wait = move || {
            let _ = released.recv();
        };
        match start(Box::new(wait)) {
            Ok(thread) => threads.push(thread),
            Err(error) => refused = Some(error),
        }
    }
    let started = threads.len();
    drop(release);
    for thread in threads {
        // It cannot panic.
        let _ = thread.join();
    }
    refused.map_or(Ok(()), |error| Err(too_few(needed, started, &error)))
}

fn too_few(needed: usize, started: usize, error: &io::Error) -> io::Error {
    let text = format!(
        "{needed} more threads are needed, and the system allows {started} ({error}): \
         see `ulimit -u` and pids.max of the control group"
    );
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    use super::*;

    #[test]
    fn all_threads_run_at_the_same_time_and_end() {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let start = |wait: Wait| {
            let running = running.clone();
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Builder::new().spawn(move || {
                wait();
                running.fetch_sub(1, Ordering::SeqCst);
            })
        };
        start_at_once(9, start).unwrap();
        assert_eq!(most.load(Ordering::SeqCst), 9);
        assert_eq!(running.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn the_error_has_the_numbers_and_names_the_limits() {
        let left = Cell::new(4);
        let start = |wait| match left.get() {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            more => {
                left.set(more - 1);
                Builder::new().spawn(wait)
            }
        };
        let error = start_at_once(9, start).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let text = error.to_string();
        assert!(text.starts_with("9 more threads are needed, and the system allows 4 ("));
        assert!(
            text.contains("`ulimit -u`") && text.contains("pids.max"),
            "{text}"
        );
    }

    #[test]
    fn the_c_core_has_a_thread_a_processor_within_bounds() {
        // Counted in a server on a machine with two: 3, and 2 + 1 in the event engine.
        assert_eq!([1, 2, 4, 64].map(|n| of_c_core(n) - SPARE), [6, 6, 8, 20]);
    }
}
