//! What a call held when it ended, to be dropped on a worker: that is the producers' own code.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::{Feed, Running, Task};

pub(super) struct Remains<T> {
    pub(super) feed: Feed<T>,
    pub(super) ready: VecDeque<Running<T>>,
    pub(super) parked: Vec<Running<T>>,
}

impl<T> Remains<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
            && self.parked.is_empty()
            && matches!(self.feed, Feed::WithWorker | Feed::Exhausted)
    }
}

/// Drops them where it runs.
pub(super) struct Dispose<T>(Mutex<Option<Remains<T>>>);

impl<T> Dispose<T> {
    pub(super) fn of(remains: Remains<T>) -> Arc<Dispose<T>> {
        Arc::new(Dispose(Mutex::new(Some(remains))))
    }
}

impl<T: Send + 'static> Task for Dispose<T> {
    fn run(self: Arc<Self>) {
        drop(self.0.lock().unwrap_or_else(|e| e.into_inner()).take());
    }
}
