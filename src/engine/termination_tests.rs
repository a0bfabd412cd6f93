//! The state of [`Terminator`], without threads; `tests/loom.rs` has the interleavings.

use std::sync::Arc;

use grpcio::{RpcStatus, RpcStatusCode};

use super::termination::{Level, Terminator};
use super::testing::Count;

fn status(code: RpcStatusCode) -> RpcStatus {
    RpcStatus::new(code)
}

#[test]
fn the_first_failure_counts_and_none_after_the_seal() {
    let call = Terminator::default();
    call.fail(status(RpcStatusCode::ABORTED), || false);
    call.fail(status(RpcStatusCode::UNAVAILABLE), || true);
    call.fail(status(RpcStatusCode::ABORTED), || true);
    assert_eq!(call.seal().unwrap().code(), RpcStatusCode::UNAVAILABLE);
    let ok = Terminator::default();
    assert!(ok.seal().is_none());
    ok.fail(status(RpcStatusCode::ABORTED), || true);
    assert!(ok.seal().is_none());
}

#[test]
fn the_level_only_rises_and_every_rise_wakes_the_writer() {
    let call = Terminator::default();
    let (count, waker) = Count::new();
    call.attach(&waker);
    call.raise(Level::Abort);
    call.raise(Level::Cut);
    call.raise(Level::Abort);
    assert_eq!((count.get(), call.level()), (3, Level::Cut));
    call.detach();
    assert_eq!(Arc::strong_count(&count), 2);
    call.raise(Level::Cut);
    assert_eq!(count.get(), 3);
}
