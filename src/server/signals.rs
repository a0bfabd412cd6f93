//! The signals that end a server. It must not know servers.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals as Received;

/// SIGTERM and SIGINT, for the whole process.
#[derive(Debug)]
pub struct Signals(Received);

impl Signals {
    /// Takes over both signals. From the second one on, a signal ends the process at once, with exit
    /// code 128 plus its number.
    ///
    /// # Errors
    /// When the system refuses handlers.
    pub fn register() -> io::Result<Signals> {
        let received = Received::new([SIGTERM, SIGINT])?;
        let is_draining = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal sets the flag, the second one finds it set.
            flag::register_conditional_shutdown(signal, 128 + signal, is_draining.clone())?;
            flag::register(signal, is_draining.clone())?;
        }
        Ok(Signals(received))
    }

    /// Blocks until the first signal.
    pub fn wait(&mut self) {
        self.0.forever().next();
    }
}
