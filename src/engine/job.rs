//! What a call is made of: producers, and when each of them is due. Data only; nothing runs here.

use std::fmt;
use std::time::Duration;

use grpcio::RpcStatus;

/// What a producer yields: the next message, or the status that the call ends with instead.
pub type Produced<T> = Result<T, RpcStatus>;

/// Makes messages, in order; may block in `next`. Any such iterator is one.
///
/// It runs on a worker thread, on one at a time but not always on the same. It is not called again
/// once its call is over, and is dropped on a worker thread too.
pub trait Producer<T>: Iterator<Item = Produced<T>> + Send + 'static {}

impl<T, P: Iterator<Item = Produced<T>> + Send + 'static> Producer<T> for P {}

/// A producer and the time, from the arrival of the request, before which it is not to run.
/// Waiting for that time takes no thread.
pub struct Job<T> {
    pub(super) delay: Duration,
    pub(super) producer: Box<dyn Producer<T>>,
}

impl<T> Job<T> {
    /// Due at once.
    pub fn now(producer: impl Producer<T>) -> Job<T> {
        Job::after(Duration::ZERO, producer)
    }

    /// Due `delay` after the request came.
    pub fn after(delay: Duration, producer: impl Producer<T>) -> Job<T> {
        Job {
            delay,
            producer: Box::new(producer),
        }
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("delay", &self.delay)
            .finish_non_exhaustive()
    }
}

/// The jobs of one call, in the order in which they are due.
pub struct Jobs<T>(Box<dyn Iterator<Item = Job<T>> + Send>);

impl<T> Jobs<T> {
    /// Jobs that are made when they are due, so that a call that mostly waits holds one of them
    /// and not all. `jobs` must yield them with rising delays: one that is due earlier than the
    /// one before it is late. It is called on a worker thread.
    pub fn lazy(jobs: impl Iterator<Item = Job<T>> + Send + 'static) -> Jobs<T> {
        Jobs(Box::new(jobs))
    }

    pub(super) fn next(&mut self) -> Option<Job<T>> {
        self.0.next()
    }
}

impl<T: 'static> From<Job<T>> for Jobs<T> {
    fn from(job: Job<T>) -> Jobs<T> {
        Jobs::lazy(std::iter::once(job))
    }
}

impl<T: 'static> From<Vec<Job<T>>> for Jobs<T> {
    /// In any order; jobs of the same delay start in the order that they have here.
    fn from(mut jobs: Vec<Job<T>>) -> Jobs<T> {
        jobs.sort_by_key(|job| job.delay);
        Jobs::lazy(jobs.into_iter())
    }
}

impl<T> fmt::Debug for Jobs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jobs(..)")
    }
}
