//! The poll threads of clients. It must not know clients.

use std::fmt;
use std::io;
use std::sync::Arc;

use grpcio::{EnvBuilder, Environment};

use crate::c_core::{check_threads, redirect_log};
use crate::engine::panic::run_caught;

/// Poll threads for several clients: see [`ClientBuilder::threads`](super::ClientBuilder::threads).
///
/// They read what arrives for the clients' calls. Each client belongs to one thread. Clones share the
/// threads, which end with the last clone and the last client.
#[derive(Clone)]
pub struct ClientThreads(Arc<Environment>);

impl ClientThreads {
    /// Starts `count` threads, at least one. One is enough for hundreds of clients that mostly wait.
    ///
    /// # Errors
    /// If the system does not allow as many threads, with those of the C-core. The text has the
    /// numbers.
    pub fn new(count: usize) -> io::Result<ClientThreads> {
        let count = count.max(1);
        redirect_log();
        check_threads(count)?;
        let threads = EnvBuilder::new().cq_count(count).name_prefix("client-poll");
        // grpcio panics if another part of the process has started the last thread since the check.
        match run_caught("starting poll threads", || threads.build()) {
            Some(environment) => Ok(ClientThreads(Arc::new(environment))),
            None => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                "the system does not allow another thread",
            )),
        }
    }

    pub(super) fn environment(&self) -> Arc<Environment> {
        self.0.clone()
    }
}

impl fmt::Debug for ClientThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientThreads")
            .field("count", &self.0.completion_queues().len())
            .finish()
    }
}
