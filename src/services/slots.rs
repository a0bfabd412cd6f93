//! Limits the open calls of one kind, in total and per peer. It must not know the purpose of the
//! calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use grpcio::{RpcContext, RpcStatus, RpcStatusCode};

use crate::engine::Peer;

/// Divisor of the slots per peer: it takes four peers to occupy all slots.
const PEER_DIVISOR: usize = 4;

/// The slots for one kind of call; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    limit_per_peer: usize,
    occupied: Mutex<Occupied>,
}

/// The total is the sum over the peers. A peer without a slot has no entry.
#[derive(Debug, Default)]
struct Occupied {
    total: usize,
    by_peer: HashMap<Peer, usize>,
}

/// An occupied slot. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Slot {
    shared: Arc<Shared>,
    peer: Peer,
}

impl Slots {
    pub(super) fn new(limit: usize) -> Slots {
        Slots(Arc::new(Shared {
            limit,
            limit_per_peer: limit.div_ceil(PEER_DIVISOR),
            occupied: Mutex::default(),
        }))
    }

    /// Occupies a slot for this call of `method`, a name for the message of the error.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED if the peer has reached its limit, or all slots are occupied.
    pub(super) fn take(&self, method: &str, ctx: &RpcContext<'_>) -> Result<Slot, RpcStatus> {
        self.take_for(method, Peer::of(&ctx.peer()))
    }

    fn take_for(&self, method: &str, peer: Peer) -> Result<Slot, RpcStatus> {
        let shared = &self.0;
        let mut occupied = shared.lock();
        let of_peer = occupied.by_peer.get(&peer).copied().unwrap_or(0);
        if of_peer >= shared.limit_per_peer {
            let text = format!("{of_peer} calls of {method} are open from this peer");
            return Err(exhausted(text));
        }
        if occupied.total >= shared.limit {
            return Err(exhausted(format!(
                "{} calls of {method} are open",
                shared.limit
            )));
        }
        occupied.total += 1;
        occupied.by_peer.insert(peer, of_peer + 1);
        Ok(Slot {
            shared: shared.clone(),
            peer,
        })
    }
}

fn exhausted(why: String) -> RpcStatus {
    let text = format!("{why}, which is the limit; try again later");
    super::status(RpcStatusCode::RESOURCE_EXHAUSTED, text)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Occupied> {
        self.occupied.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut occupied = self.shared.lock();
        occupied.total -= 1;
        if let Some(of_peer) = occupied.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                occupied.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> Peer {
        Peer::of(&format!("ipv4:192.0.2.{n}:50"))
    }

    #[test]
    fn a_peer_may_occupy_a_quarter() {
        let slots = Slots::new(8);
        let take = |n| slots.take_for("Health/Watch", peer(n));
        let _held = [take(1).unwrap(), take(1).unwrap()];
        let refused = take(1).unwrap_err();
        assert_eq!(refused.code(), RpcStatusCode::RESOURCE_EXHAUSTED);
        let text = refused.message();
        assert!(
            text.starts_with("2 calls of Health/Watch are open from this peer"),
            "{text}"
        );
        assert!(take(2).is_ok());
    }

    #[test]
    fn peers_together_may_occupy_all() {
        let slots = Slots::new(8);
        let take = |n| slots.take_for("Health/Watch", peer(n));
        let held: Vec<_> = (0..8).map(|n| take(n / 2).unwrap()).collect();
        let refused = take(9).unwrap_err();
        assert!(refused.message().starts_with("8 calls"), "{refused}");
        drop(held);
        assert!(take(9).is_ok());
        assert_eq!(slots.0.lock().total, 0);
        assert!(slots.0.lock().by_peer.is_empty());
    }
}
