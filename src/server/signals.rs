//! Receives the signals of the process while a server runs. It must not know servers.
//!
//! | signal | while there is a [`Signals`] |
//! | --- | --- |
//! | SIGTERM, SIGINT | the first one ends the wait, a second one the process at once |
//! | SIGHUP | [`Signals::wait_reloading`] calls its function |
//! | those [`WITHOUT_MEANING`] | a line in the log, unless the program handles or ignores them itself |
//!
//! Before the first `Signals` and after the last one, each signal does what it did before: see
//! [`take_over`].

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::libc;
use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM,
};
use signal_hook::flag;
use signal_hook::iterator::Signals as Received;
use signal_hook::low_level::{signal_name, unregister};
use signal_hook::SigId;

/// Signals that drain.
const DRAINING: [i32; 2] = [SIGTERM, SIGINT];

/// Signals that would end the process by default, though they mean nothing to a server: those of
/// users, of timers, and those that only Linux has. Not among them: SIGQUIT, SIGABRT and the other
/// requests for a core dump, and those of a limit (SIGXCPU, SIGXFSZ), which are meant to end it.
const WITHOUT_MEANING: &[(i32, &str)] = &[
    (SIGUSR1, "SIGUSR1"),
    (SIGUSR2, "SIGUSR2"),
    (SIGALRM, "SIGALRM"),
    (SIGVTALRM, "SIGVTALRM"),
    (SIGPROF, "SIGPROF"),
    (SIGIO, "SIGIO"),
    #[cfg(target_os = "linux")]
    (libc::SIGPWR, "SIGPWR"),
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    (libc::SIGSTKFLT, "SIGSTKFLT"),
];

/// Receives SIGTERM, SIGINT and SIGHUP of the process, and keeps signals without a meaning from
/// ending it. Dropping this lets all signals do what they did before.
#[derive(Debug)]
pub struct Signals {
    received: Received,
    actions: Vec<SigId>,
}

impl Signals {
    /// Registers the handlers. After the first SIGTERM or SIGINT, a second one ends the process at
    /// once, with exit code 128 plus its number.
    ///
    /// SIGUSR1, SIGUSR2, SIGALRM and others that mean nothing to a server are logged instead of
    /// ending the process, except those that the program handles or ignores itself. Its handlers
    /// for the other signals run as well. It must install them before the first `Signals`: a
    /// later one of signal-hook does not keep a signal from ending the process, as by default,
    /// when the `Signals` are gone.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    pub fn register() -> io::Result<Signals> {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        let without_meaning = WITHOUT_MEANING.iter().map(|(signal, _)| *signal);
        let wanted = DRAINING.into_iter().chain([SIGHUP]).chain(without_meaning);
        process.take_over(wanted)?;
        let mut signals = Signals {
            received: Received::new(process.received())?,
            actions: Vec::new(),
        };
        // From here on, dropping `signals` counts down.
        process.users += 1;
        let is_draining = Arc::new(AtomicBool::new(false));
        let registered = signals.end_at_second(&is_draining);
        IDLE.store(false, Ordering::SeqCst);
        drop(process);
        registered.map(|()| signals)
    }

    fn end_at_second(&mut self, is_draining: &Arc<AtomicBool>) -> io::Result<()> {
        for signal in DRAINING {
            let (status, flag) = (128 + signal, is_draining.clone());
            // The order matters: the first signal sets the flag, the second one finds it set.
            let end = flag::register_conditional_shutdown(signal, status, flag.clone())?;
            self.actions.push(end);
            self.actions.push(flag::register(signal, flag)?);
        }
        Ok(())
    }

    /// Blocks until SIGTERM or SIGINT arrives. SIGHUP has no meaning meanwhile.
    pub fn wait(&mut self) {
        self.wait_reloading(|| tracing::info!("SIGHUP has no meaning for this server"));
    }

    /// Blocks until SIGTERM or SIGINT arrives. Meanwhile calls `reload` after each SIGHUP, for
    /// example [`Server::reload`](super::Server::reload).
    pub fn wait_reloading(&mut self, mut reload: impl FnMut()) {
        for signal in self.received.forever() {
            match signal {
                SIGHUP => reload(),
                signal if DRAINING.contains(&signal) => return,
                signal => {
                    let known = WITHOUT_MEANING.iter().find(|(number, _)| *number == signal);
                    let name = known.map_or("a signal", |(_, name)| name);
                    tracing::info!("{name} has no meaning for this server");
                }
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let mut process = PROCESS.lock().unwrap_or_else(PoisonError::into_inner);
        process.users -= 1;
        // First, so that no signal is lost in between.
        IDLE.store(process.users == 0, Ordering::SeqCst);
        for action in self.actions.drain(..) {
            unregister(action);
        }
        // `received` unregisters its own.
    }
}

/// True while there is no [`Signals`].
static IDLE: AtomicBool = AtomicBool::new(true);

static PROCESS: Mutex<Process> = Mutex::new(Process {
    users: 0,
    taken_over: Vec::new(),
});

/// The signals of the process.
struct Process {
    /// The number of [`Signals`].
    users: usize,
    /// The signals that have a handler of signal-hook, and what they did before.
    taken_over: Vec<(i32, Former)>,
}

/// What a signal did before the first [`Signals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Former {
    /// What the system does by default.
    Default,
    /// What the program does: it ignores the signal, or has a handler.
    Own,
}

impl Process {
    /// Prepares signals for handlers that come and go.
    ///
    /// signal-hook installs one handler for a signal, which never goes: it calls the former one and
    /// then the registered actions. So for a signal without a former handler, an action of its own
    /// does what the system would have done, while there is no [`Signals`].
    fn take_over(&mut self, signals: impl Iterator<Item = i32>) -> io::Result<()> {
        // Where /proc is missing, a program with handlers of its own must not expect this.
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        for signal in signals {
            if self.taken_over.iter().any(|(known, _)| *known == signal) {
                continue;
            }
            let former = former(&status, signal);
            if former == Former::Default {
                default_while_idle(signal)?;
            }
            self.taken_over.push((signal, former));
        }
        Ok(())
    }

    /// The signals that a [`Signals`] receives: not those that the program has given a meaning, but
    /// for those that a server needs.
    fn received(&self) -> Vec<i32> {
        let meant = |signal| signal == SIGHUP || DRAINING.contains(&signal);
        let all = self.taken_over.iter();
        all.filter(|(signal, former)| meant(*signal) || *former == Former::Default)
            .map(|(signal, _)| *signal)
            .collect()
    }
}

/// Finds a signal in the masks of /proc/PID/status.
fn former(status: &str, signal: i32) -> Former {
    let is_in = |mask: &str| {
        let digits = status.lines().find_map(|line| line.strip_prefix(mask));
        let mask = digits.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
        mask.is_some_and(|mask| (mask >> (signal - 1)) & 1 == 1)
    };
    match is_in("SigIgn:") || is_in("SigCgt:") {
        true => Former::Own,
        false => Former::Default,
    }
}

/// Has `signal` end the process as by default, while there is no [`Signals`].
fn default_while_idle(signal: i32) -> io::Result<()> {
    // signal-hook takes SIGIO for a signal that the system ignores, and does not know the others.
    let is_known = signal != SIGIO && signal_name(signal).is_some();
    let registered = match is_known {
        true => flag::register_conditional_default(signal, &IDLE),
        // A shell shows the same exit code.
        false => flag::register_conditional_shutdown(signal, 128 + signal, &IDLE),
    };
    registered.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_the_program_handles_or_ignores_is_its_own() {
        let status = "Name:\tx\nSigIgn:\t0000000000000201\nSigCgt:\t0000000000004000\n";
        let former = |signal| former(status, signal);
        assert_eq!([1, 10, 15].map(former), [Former::Own; 3]);
        assert_eq!([2, 11, 14, 16].map(former), [Former::Default; 4]);
    }

    #[test]
    fn a_signal_is_not_received_if_the_program_has_given_it_a_meaning() {
        let process = Process {
            users: 0,
            taken_over: vec![
                (SIGTERM, Former::Own),
                (SIGHUP, Former::Own),
                (SIGUSR1, Former::Own),
                (SIGUSR2, Former::Default),
            ],
        };
        assert_eq!(process.received(), [SIGTERM, SIGHUP, SIGUSR2]);
    }
}
