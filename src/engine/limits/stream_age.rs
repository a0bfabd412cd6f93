//! The maximum age of a stream: a stream that is too old ends in three steps. The response writer
//! carries them out. This file must not know how messages are sent.
//!
//! | step | the client gets | next step |
//! | --- | --- | --- |
//! | `Graceful` | the messages in the channel, then UNAVAILABLE | `Abort`, after [`MESSAGES_TIMEOUT`] |
//! | `Abort` | UNAVAILABLE | `Cut`, after [`STATUS_TIMEOUT`] |
//! | `Cut` | no status: the C-core's call is cancelled | none |
//!
//! A stream that has ended leaves the table, and its remaining steps are skipped.

use std::time::{Duration, Instant};

use grpcio::RpcStatus;
use humantime::format_duration;

use super::super::termination::Termination;
use super::enforcer::{unavailable, LimitEnforcer};
use super::registry::Step;

/// The time that a reader has for the messages that were made before its stream became too old.
const MESSAGES_TIMEOUT: Duration = Duration::from_secs(5);

/// The time that the reader then has for the status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

impl LimitEnforcer {
    /// When a stream that begins now becomes too old: after the maximum age, give or take a tenth,
    /// so that streams that began together do not end together.
    pub(in crate::engine) fn max_age_deadline(&self) -> Option<Instant> {
        let share = 0.9 + 0.2 * fastrand::f64();
        Some(Instant::now() + self.max_age?.mul_f64(share))
    }

    /// Takes one batch of due steps, and schedules the step that follows each.
    pub(super) fn take_steps(&self, now: Instant) {
        let due = self.table.lock().take_due(now);
        let mut next = Vec::new();
        for (stream, number, step) in due {
            stream.terminate(match step {
                Step::Graceful => {
                    next.push((now + MESSAGES_TIMEOUT, number, Step::Abort));
                    Termination::Graceful(self.too_old())
                }
                Step::Abort => {
                    next.push((now + STATUS_TIMEOUT, number, Step::Cut));
                    Termination::Abort(self.too_old())
                }
                Step::Cut => Termination::Cut,
            });
        }
        self.table.lock().schedule(next);
    }

    fn too_old(&self) -> RpcStatus {
        let age = format_duration(self.max_age.unwrap_or_default());
        unavailable(format!(
            "a stream may be about {age} old, and this one is; call again"
        ))
    }
}
