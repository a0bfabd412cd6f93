//! Runs a user-defined check of each call before its handler. It must not know the meaning of the
//! check. Tokens are checked in `security/token_checker.rs`.

use std::sync::Arc;

use grpcio::{CheckResult, RpcContext, RpcStatus, RpcStatusCode, ServerChecker};

use crate::engine::panic::run_caught;
use crate::engine::status::{failure, sendable};
use crate::engine::Streams;
use crate::Status;

pub(super) type Check = dyn Fn(&RpcContext<'_>) -> Result<(), Status> + Send + Sync;

/// Runs a check and counts the refused calls.
#[derive(Clone)]
pub(super) struct Checker(pub(super) Arc<Check>, pub(super) Streams);

impl ServerChecker for Checker {
    fn check(&mut self, ctx: &RpcContext<'_>) -> CheckResult {
        let checked = run_caught("a check", || (self.0)(ctx));
        let refused = match checked {
            Some(Ok(())) => return CheckResult::Continue,
            Some(Err(status)) => sendable(failure(status.into(), "a check")),
            None => internal("the server panicked"),
        };
        self.1.count_refusal("check");
        CheckResult::Abort(refused)
    }

    fn box_clone(&self) -> Box<dyn ServerChecker> {
        Box::new(self.clone())
    }
}

fn internal(message: &str) -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::INTERNAL, message.into())
}
