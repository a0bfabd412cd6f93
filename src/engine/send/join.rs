//! Joins queued messages to one for the sink, as [frames](super::super::frames). It must not touch
//! the sink.

use std::task::Waker;

use grpcio::GrpcSlice;

use super::super::channel::{Queued, Receiver, TryRecvError};
use super::super::frames::{self, FramesWriter, MAX_FRAMED_BYTES};
use super::super::workers::Workers;
use super::scheduler::WriteSlot;

/// How messages of a type are joined.
pub(in crate::engine) struct Framing<T> {
    pub(in crate::engine) push: fn(T, &mut FramesWriter<'_>),
    /// Makes one message of all frames.
    pub(in crate::engine) wrap: fn(GrpcSlice) -> T,
}

/// A message for the sink.
pub(super) struct Outgoing<T> {
    pub(super) message: T,
    /// The message consists of frames.
    pub(super) is_framed: bool,
    /// The messages in it, and their bytes.
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl<T> Outgoing<T> {
    pub(super) fn single(queued: Queued<T>) -> Outgoing<T> {
        Outgoing {
            bytes: queued.size.into(),
            message: queued.message,
            is_framed: false,
            messages: 1,
        }
    }
}

/// The message behind an outgoing one, if the channel has one.
pub(super) type Next<T> = Result<Queued<T>, TryRecvError>;

/// Whether a join of these two saves time.
pub(super) fn is_worthwhile<T>(first: &Queued<T>, next: &Next<T>) -> bool {
    let is_small = |queued: &Queued<T>| queued.size <= MAX_FRAMED_BYTES;
    is_small(first) && next.as_ref().is_ok_and(is_small)
}

/// Joins `first`, `next` and the messages behind it, as far as there is space and `slot` permits.
pub(super) fn join<T>(
    framing: &Framing<T>,
    first: Queued<T>,
    mut next: Next<T>,
    messages: &Receiver<T>,
    slot: &mut WriteSlot,
    (waker, workers): (&Waker, &Workers),
) -> (Outgoing<T>, Next<T>) {
    let mut count = 1;
    let mut bytes = u64::from(first.size);
    let (frames, next) = frames::join(|frames| {
        (framing.push)(first.message, frames);
        loop {
            let queued = match next {
                Ok(queued)
                    if frames.has_space(queued.size)
                        && !slot.batch_is_used()
                        && slot.may_write(queued.size, waker, workers) =>
                {
                    queued
                }
                next => return next,
            };
            count += 1;
            bytes += u64::from(queued.size);
            (framing.push)(queued.message, frames);
            next = messages.try_next();
        }
    });
    let outgoing = Outgoing {
        message: (framing.wrap)(frames),
        is_framed: true,
        messages: count,
        bytes,
    };
    (outgoing, next)
}
