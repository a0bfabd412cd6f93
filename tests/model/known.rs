//! Defects that the engine is known to have. The scenarios that would only find them again are tamed, and the oracle
//! lets them pass. When one is mended it leaves the list. `FANSTREAM_MODEL_STRICT=all` ignores the list,
//! `FANSTREAM_MODEL_STRICT=AbortAfterOk,OkAsFailure` these entries.

use std::sync::OnceLock;

#[allow(dead_code)] // those that are mended
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Each due job becomes a producer that makes a message and parks with it: not bounded by the channel.
    ParkedProducersHoldMessages,
    /// The opening of a refused call is dropped by the poll thread.
    OpeningDroppedOnPollThread,
    /// While a feed blocks before its second job, the first one does not run.
    FeedHoldsUpProducers,
    /// `Err` of an OK status ends the call with OK and drops what other producers made.
    OkAsFailure,
    /// Two producers of a call whose `Drop` panics abort the process.
    SecondPanicInDropAborts,
    /// An encode error ends as CANCELLED.
    EncodeErrorIsCancelled,
    /// A panic of a message's code on a poll thread ends the thread; a size that varies underflows.
    MessagesOnPollThreads,
    /// After an abort producers run on until the channel is full; after other ends a producer may be called a few
    /// times, because the call is marked as over before its channel is closed.
    ProducersRunAfterEnd,
    /// A cancelled call gives its place back while its producers still run.
    CancelledCallsGiveUpTheirPlace,
    /// A call that has sent OK and is aborted then counts as something else.
    AbortAfterOk,
}

const PRESENT: &[Defect] = &[
    Defect::CancelledCallsGiveUpTheirPlace,
    Defect::ProducersRunAfterEnd,
    Defect::FeedHoldsUpProducers,
    Defect::AbortAfterOk,
    Defect::OpeningDroppedOnPollThread,
    Defect::ParkedProducersHoldMessages,
    Defect::OkAsFailure,
    Defect::SecondPanicInDropAborts,
    Defect::EncodeErrorIsCancelled,
    Defect::MessagesOnPollThreads,
];

pub fn has(defect: Defect) -> bool {
    static STRICT: OnceLock<String> = OnceLock::new();
    let strict = STRICT.get_or_init(|| std::env::var("FANSTREAM_MODEL_STRICT").unwrap_or_default());
    let sought = |name| name == "all" || name == format!("{defect:?}");
    PRESENT.contains(&defect) && !strict.split(',').any(sought)
}
