//! Waits for the signals that end a server. It must not know servers.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals as Received;

/// Receives SIGTERM and SIGINT of the process.
#[derive(Debug)]
pub struct Signals(Received);

impl Signals {
    /// Registers handlers for both signals. The second signal ends the process at once, with exit
    /// code 128 plus its number.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    pub fn register() -> io::Result<Signals> {
        let received = Received::new([SIGTERM, SIGINT])?;
        let is_draining = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // The order matters: the first signal sets the flag, the second one finds it set.
            flag::register_conditional_shutdown(signal, 128 + signal, is_draining.clone())?;
            flag::register(signal, is_draining.clone())?;
        }
        Ok(Signals(received))
    }

    /// Blocks until a signal arrives.
    pub fn wait(&mut self) {
        self.0.forever().next();
    }
}
