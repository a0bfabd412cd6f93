//! Hostile clients: an attack costs the server little memory, and the calls of other clients stay
//! fast. Attacks measure latency, so they run one at a time, in a separate test program. The
//! C-core needs the patches in scripts/ccore. `FANSTREAM_LONG=1` makes the resets last 30 s.

#![cfg(target_os = "linux")] // memory is read from /proc, and the patches are applied there

#[path = "../common"]
mod common {
    pub mod attack;
    pub mod certificates;
    pub mod http2;
    pub mod process;
    pub mod server;
    pub mod transport;
}

mod floods;
mod requests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use common::server::TestServer;
use common::transport::Transport::Clear;

fn server(flags: &[&str]) -> TestServer {
    let all = ["--responses", "1", "--step", "0s", "--log-level", "warn"];
    TestServer::start(Clear, &[&all, flags].concat())
}

/// Keeps other attacks away until it is dropped: they would add to the measured latencies.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A failed test poisons it, which does not matter to the others.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
