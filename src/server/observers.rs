//! Combines several observers of calls into one. It must not know their purpose.

use std::sync::Arc;

use grpcio::RpcContext;

use crate::engine::panic::run_caught;
use crate::engine::{CallEnd, CallObserver, Observer};

/// Calls all observers in order. A panic of one does not affect the others.
pub(super) struct Observers(pub(super) Vec<Arc<dyn Observer>>);

impl Observer for Observers {
    fn arrived(&self, ctx: &RpcContext<'_>) -> Box<dyn CallObserver> {
        let arrived = |one: &Arc<dyn Observer>| run_caught("an observer", || one.arrived(ctx));
        Box::new(All(self.0.iter().filter_map(arrived).collect()))
    }
}

struct All(Vec<Box<dyn CallObserver>>);

impl CallObserver for All {
    fn ended(self: Box<Self>, end: &CallEnd) {
        for one in self.0 {
            run_caught("an observer", || one.ended(end));
        }
    }
}
