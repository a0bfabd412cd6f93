//! Runs a check of each call before its handler. It must not know the meaning of the check.

use std::sync::Arc;

use grpcio::{CheckResult, RpcContext, RpcStatus, RpcStatusCode, ServerChecker};

use crate::engine::panic::run_caught;
use crate::engine::status::{failure, sendable};
use crate::engine::Streams;
use crate::Status;

type Check = dyn Fn(&RpcContext<'_>) -> Result<(), Status> + Send + Sync;

/// Runs a check and counts the refused calls.
#[derive(Clone)]
pub(crate) struct Checker {
    reason: &'static str,
    check: Arc<Check>,
    streams: Streams,
}

impl Checker {
    pub(super) fn new(reason: &'static str, check: Arc<Check>, streams: Streams) -> Checker {
        Checker {
            reason,
            check,
            streams,
        }
    }
}

impl ServerChecker for Checker {
    fn check(&mut self, ctx: &RpcContext<'_>) -> CheckResult {
        let checked = run_caught("a check", || (self.check)(ctx));
        let refused = match checked {
            Some(Ok(())) => return CheckResult::Continue,
            Some(Err(status)) => sendable(failure(status.into(), "a check")),
            None => internal("the server panicked"),
        };
        self.streams.count_refusal(self.reason);
        CheckResult::Abort(refused)
    }

    fn box_clone(&self) -> Box<dyn ServerChecker> {
        Box::new(self.clone())
    }
}

fn internal(message: &str) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::INTERNAL, message.into())
}
