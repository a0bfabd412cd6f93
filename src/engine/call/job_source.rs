//! The job source of a call: turns the request into jobs and starts the next job when it is due. It
//! knows nothing of the channel or the workers.
//!
//! | state | holds | leaves it |
//! | --- | --- | --- |
//! | `Unopened` | the function that turns the request into jobs | a worker takes it |
//! | `Unknown` | jobs; asking for the next due time may block | a worker takes it |
//! | `Waiting` | jobs, and when the next one is due | a worker takes it when it is due |
//! | `Taken` | nothing: a worker has it | the worker puts it back, or the call ends |
//! | `Exhausted` | nothing: no further producer comes | never |

use std::time::Instant;

use super::super::panic::drop_caught;
use super::super::workers::MAX_DELAY;
use super::body::Body;
use super::context::CallContext;
use super::job::{Extras, Jobs};
use crate::Status;

/// Turns the request, which it holds, into jobs. Runs on a worker thread and may block.
pub(crate) type OpenFn<T> = Box<dyn FnOnce(&CallContext) -> Result<Jobs<T>, Status> + Send>;

pub(super) enum JobSource<T> {
    Unopened(OpenFn<T>),
    Unknown(Jobs<T>),
    Waiting { jobs: Jobs<T>, due: Instant },
    Taken,
    Exhausted,
}

impl<T: 'static> JobSource<T> {
    /// Whether a worker has work to do here now.
    pub(super) fn is_due(&self, now: impl FnOnce() -> Instant) -> bool {
        match self {
            JobSource::Unopened(_) | JobSource::Unknown(_) => true,
            JobSource::Waiting { due, .. } => *due <= now(),
            JobSource::Taken | JobSource::Exhausted => false,
        }
    }

    /// The due time of the next job, if known.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        match self {
            JobSource::Waiting { due, .. } => Some(*due),
            _ => None,
        }
    }

    /// True if it holds user code to drop.
    pub(super) fn holds_code(&self) -> bool {
        !matches!(self, JobSource::Taken | JobSource::Exhausted)
    }

    /// Opens the source if it is unopened, and starts the next job if it is due. May block, so only
    /// workers call it. Delays count from `arrived`. The order and heartbeat of the jobs go to
    /// `extras`.
    ///
    /// After a panic of user code the jobs are still in the source; the caller drops them.
    pub(super) fn step(
        &mut self,
        context: &CallContext,
        arrived: Instant,
        extras: &mut Option<Box<Extras<T>>>,
    ) -> Result<Option<Body<T>>, Status> {
        if let JobSource::Unopened(_) = self {
            if let JobSource::Unopened(open) = std::mem::replace(self, JobSource::Taken) {
                let mut jobs = open(context)?;
                *extras = jobs.take_extras();
                *self = JobSource::Unknown(jobs);
            }
        }
        let due = match self {
            JobSource::Unknown(jobs) => next_due(jobs, arrived),
            JobSource::Waiting { due, .. } => Some(*due),
            JobSource::Unopened(_) | JobSource::Taken | JobSource::Exhausted => None,
        };
        let is_due = due.is_some_and(|due| due <= arrived || due <= Instant::now());
        let (body, due) = match self {
            JobSource::Unknown(jobs) | JobSource::Waiting { jobs, .. } if is_due => {
                let body = jobs.start();
                if !jobs.is_prompt() {
                    self.become_unknown();
                    return Ok(body);
                }
                (body, next_due(jobs, arrived))
            }
            _ => (None, due),
        };
        self.wait_until(due);
        Ok(body)
    }

    fn become_unknown(&mut self) {
        *self = match std::mem::replace(self, JobSource::Taken) {
            JobSource::Waiting { jobs, .. } => JobSource::Unknown(jobs),
            other => other,
        };
    }

    /// `None` means that no further job follows.
    fn wait_until(&mut self, due: Option<Instant>) {
        *self = match (std::mem::replace(self, JobSource::Taken), due) {
            (JobSource::Unknown(jobs) | JobSource::Waiting { jobs, .. }, Some(due)) => {
                JobSource::Waiting { jobs, due }
            }
            (jobs, _) => {
                drop_caught(jobs);
                JobSource::Exhausted
            }
        };
    }
}

/// The due time of the next job. A delay that `Instant` cannot represent becomes a hundred years.
fn next_due<T: 'static>(jobs: &mut Jobs<T>, arrived: Instant) -> Option<Instant> {
    let delay = jobs.next_delay()?.min(MAX_DELAY);
    Some(arrived.checked_add(delay).unwrap_or(arrived))
}
