//! Combines the observers of calls into one. It must not know their purpose.

use std::sync::{Arc, OnceLock};

use grpcio::RpcContext;

use crate::engine::panic::run_caught;
use crate::engine::{CallEnd, CallObserver, Observer};

/// Calls all observers in order. A panic of one does not affect the others. There are none until all
/// extensions are configured.
#[derive(Default)]
pub(super) struct Observers(OnceLock<Vec<Arc<dyn Observer>>>);

impl Observers {
    /// Sets the observers, once.
    pub(super) fn set(&self, all: Vec<Arc<dyn Observer>>) {
        let _ = self.0.set(all);
    }
}

impl Observer for Observers {
    fn arrived(&self, ctx: &RpcContext<'_>) -> Box<dyn CallObserver> {
        match self.0.get().map_or(&[][..], Vec::as_slice) {
            [one] => one.arrived(ctx),
            all => {
                let arrived =
                    |one: &Arc<dyn Observer>| run_caught("an observer", || one.arrived(ctx));
                Box::new(All(all.iter().filter_map(arrived).collect()))
            }
        }
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
