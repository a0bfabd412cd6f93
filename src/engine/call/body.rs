//! What a job runs. Data only; nothing runs here.

use super::polled::Polled;
use super::stream_sender::PushFn;
use crate::Status;

/// An item of a producer: a message, or the status that ends the call.
///
/// An `Err` with the code OK ends the call with INTERNAL: a failure cannot be OK.
pub type Produced<T> = Result<T, Status>;

/// Makes messages, in order; may block in `next`. Implemented by every iterator with this item.
///
/// It runs on one worker thread at a time, not always the same one. It is called only when the
/// call's channel has a free slot, except for the first message in an
/// [ordered](crate::engine::Jobs::ordered) call. It is not called again once its call is over. A
/// worker thread drops it.
pub trait Producer<T>: Iterator<Item = Produced<T>> + Send + 'static {}

impl<T, P: Iterator<Item = Produced<T>> + Send + 'static> Producer<T> for P {}

/// What a job runs when it is due.
pub(super) enum Body<T> {
    /// Makes one message for each call of `next`.
    Pull(Box<dyn Producer<T>>),
    /// Called once; sends its messages itself.
    Push(PushFn<T>),
    /// Makes at most one message for each question.
    Poll(Polled<T>),
}
