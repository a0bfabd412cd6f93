//! Shuts a server down without losing streams: drain, abort, close. It must not know signals.
//!
//! | step | effect | bounded by |
//! | --- | --- | --- |
//! | announce | extensions are told: `/readyz` and health report not serving | 2 s |
//! | drain | new calls are refused; open streams may finish | `grace` |
//! | abort | the remaining streams end with UNAVAILABLE | [`STATUS_TIMEOUT`] |
//! | close | connections are closed | [`CLOSE_TIMEOUT`] |
//! | farewell | extensions are told: the last spans are sent | 2 s |
//! | end | the C-core's server is freed | 2 s |

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use grpcio::{RpcStatus, RpcStatusCode, ShutdownFuture};

use super::{lock, Running, Server};
use crate::engine::thread_waker::ThreadWaker;

/// Time for clients to read the status of aborted streams before connections are closed.
const STATUS_TIMEOUT: Duration = Duration::from_millis(300);

/// Time for connections to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Outcome of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Streams still open at the end of the grace period. They ended with UNAVAILABLE.
    pub aborted: usize,
    /// False if connections stayed open for 5 s after the last stream had ended. They carry no
    /// calls.
    pub clean: bool,
}

impl Server {
    /// Drains and stops the server: reports NOT_SERVING, refuses new calls, lets open streams
    /// finish within `grace`, then ends the others with UNAVAILABLE. Blocks for at most `grace`,
    /// plus half a second if clients do not read, 5 s if connections do not close, 4 s if extensions
    /// are slow, and 2 s if the system refuses the C-core a thread.
    pub fn shutdown(self, grace: Duration) -> Drained {
        self.running.shut_down(grace)
    }
}

/// How far the shutdown of a server is.
#[derive(Default)]
pub(super) struct Progress {
    step: Mutex<Step>,
    stopped: Condvar,
    /// Streams that the shutdown has ended.
    aborted: AtomicUsize,
}

#[derive(Clone, Copy, Default)]
enum Step {
    #[default]
    Serving,
    Draining,
    Stopped(Drained),
}

impl Progress {
    /// Blocks until the server has stopped.
    pub(super) fn wait(&self) -> Drained {
        let mut step = lock(&self.step);
        loop {
            match *step {
                Step::Stopped(drained) => return drained,
                Step::Serving | Step::Draining => {
                    step = self
                        .stopped
                        .wait(step)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn stop(&self, clean: bool) -> Drained {
        let aborted = self.aborted.load(Ordering::Relaxed);
        let drained = Drained { aborted, clean };
        *lock(&self.step) = Step::Stopped(drained);
        self.stopped.notify_all();
        drained
    }
}

impl Running {
    /// As [`Server::shutdown`]. The first call stops the server; further ones end streams earlier if
    /// their grace is over earlier, and wait for the first.
    pub(super) fn shut_down(&self, grace: Duration) -> Drained {
        let stopping = self.announce();
        if !self.streams().wait_until_none(grace) {
            let status = unavailable("the server is shutting down; call again");
            let aborted = self.streams().abort_all(&status);
            self.progress.aborted.fetch_add(aborted, Ordering::Relaxed);
            self.streams().wait_until_none(STATUS_TIMEOUT);
        }
        match stopping {
            Some(stopping) => self.close(stopping),
            None => self.progress.wait(),
        }
    }

    /// Refuses new calls. `None` if an earlier call has done so.
    fn announce(&self) -> Option<ShutdownFuture> {
        // Held until new calls are refused, since later callers abort those that are open.
        let mut step = lock(&self.progress.step);
        let Step::Serving = *step else {
            return None;
        };
        *step = Step::Draining;
        self.extensions.draining();
        self.streams().refuse(unavailable("the server is draining"));
        Some(self.core.lock().shutdown())
    }

    fn close(&self, mut stopping: ShutdownFuture) -> Drained {
        // Closes idle connections and those whose clients have not read their status.
        self.core.lock().cancel_all_calls();
        let clean = wait_for(&mut stopping, CLOSE_TIMEOUT);
        self.extensions.stopped();
        self.progress.stop(clean)
    }
}

fn unavailable(message: &str) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::UNAVAILABLE, message.into())
}

/// Blocks until the C-core has shut down. Returns false if it has not within `timeout`.
fn wait_for(stopped: &mut ShutdownFuture, timeout: Duration) -> bool {
    let thread_waker = ThreadWaker::current();
    let mut cx = Context::from_waker(&thread_waker.waker);
    let deadline = Instant::now() + timeout;
    loop {
        if let Poll::Ready(ended) = Pin::new(&mut *stopped).poll(&mut cx) {
            return ended.is_ok();
        }
        if !thread_waker.wait(Some(deadline)) {
            return false;
        }
    }
}
