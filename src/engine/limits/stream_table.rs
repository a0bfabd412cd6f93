//! The table of a server's open streams: the [`Registry`] behind its lock, and the wait for the
//! last stream to end. It must not know what a stream sends.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use grpcio::RpcStatus;

use super::super::stats::CallEnd;
use super::peers::Peers;
use super::registry::{Registration, Registry};
use super::Limits;

/// The open streams of a server. The calls, the enforcer and the server share it.
pub(in crate::engine) struct StreamTable {
    registry: Mutex<Registry>,
    /// Notified when the last open stream ends, if a thread waits for it.
    none_open: Condvar,
    /// The threads that wait for it. Changed and read under the lock of `registry`.
    waiting: AtomicUsize,
    /// New calls are refused. Each call's context holds a reference.
    draining: Arc<AtomicBool>,
}

impl StreamTable {
    pub(in crate::engine) fn new(limits: &Limits) -> Arc<StreamTable> {
        let peers = limits.are_per_peer().then(|| Peers::new(limits));
        Arc::new(StreamTable {
            registry: Mutex::new(Registry::new(peers)),
            none_open: Condvar::new(),
            waiting: AtomicUsize::new(0),
            draining: Arc::default(),
        })
    }

    /// Refuses every new call with `status`.
    pub(in crate::engine) fn refuse(&self, status: RpcStatus) {
        self.lock().refusal = Some(status);
        self.draining.store(true, Ordering::Release);
    }

    pub(in crate::engine) fn draining(&self) -> &Arc<AtomicBool> {
        &self.draining
    }

    pub(in crate::engine) fn lock(&self) -> MutexGuard<'_, Registry> {
        // No user code runs under the lock, so a poisoned registry is whole.
        self.registry.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Blocks until no stream is open, at most for `timeout`; false if some still are.
    pub(in crate::engine) fn wait_until_none(&self, timeout: Duration) -> bool {
        let registry = self.lock();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let is_open = |registry: &mut Registry| registry.open() > 0;
        let waited = self
            .none_open
            .wait_timeout_while(registry, timeout, is_open);
        let (registry, _) = waited.unwrap_or_else(|e| e.into_inner());
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        registry.open() == 0
    }
}

/// The registration of one call; dropping it removes the call from the table.
pub(in crate::engine) struct Permit {
    pub(in crate::engine) table: Arc<StreamTable>,
    pub(in crate::engine) registration: Registration,
}

impl Permit {
    /// The stream has ended for its client.
    pub(in crate::engine) fn end(&self, end: &CallEnd) {
        let mut registry = self.table.lock();
        registry.end(&self.registration, end);
        // A notification is a system call, also where no thread waits.
        let is_awaited = registry.open() == 0 && self.table.waiting.load(Ordering::Relaxed) > 0;
        drop(registry);
        if is_awaited {
            self.table.none_open.notify_all();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let stream = self.table.lock().remove(&self.registration);
        // Outside the lock: it may be the last reference.
        drop(stream);
    }
}
