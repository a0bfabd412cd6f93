//! Whose turn it is to send, among the streams of one poll thread that have more to send than
//! they can.
//!
//! A poll thread that goes from stream to stream by the message finds the state of each, 14 KB in
//! the C-core alone, gone from its caches by the next one: with 256 busy streams a message then
//! costs a third more. So a stream with a backlog of small messages sends [`BATCH`] of them in a row
//! while the others wait, and then it is the next one's turn. The last message of a turn is
//! written out, so nothing waits in a buffer for the next turn. It knows nothing of channels or
//! sinks.
//!
//! A turn does not wait for its reader: a batch of small messages fits the C-core's write buffer.
//! But it can wait for a connection that is blocked in the middle of a write. So the clock looks
//! whether messages are being sent; if not, the next stream looks again, behind all that has
//! happened on the poll thread before, and takes the turn. Whoever lost its turn in this way goes
//! without turns from then on.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::workers::{Task, Workers};

/// Messages in a turn: as many as a channel holds by default. With 64, 32 and 16 a message costs
/// 1.1, 1.2 and 1.4 times as much, with 1024 the same.
const BATCH: u32 = 256;

/// The largest message, in bytes, that waits for a turn: a batch of these fits the C-core's write
/// buffer of 64 KiB. Of larger ones a few are a batch.
pub(super) const SMALL: usize = 200;

/// Messages that go without a turn when a stream had nothing to send before: those that send now
/// and then do not wait for those that always do.
const FREE: u32 = 16;

/// How often the clock looks while streams wait.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The turns of one poll thread.
#[derive(Default)]
struct Turns {
    /// Messages sent in turns.
    sent: AtomicU64,
    /// The ticket of the stream that has the turn, or 0. Changed under the lock.
    holder: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By ticket: first come, first served. The first one takes the turn when it is free, and is
    /// woken for that.
    waiting: BTreeMap<u64, Waker>,
    last_ticket: u64,
    /// There while the clock looks.
    clock: Option<Workers>,
    /// What `sent` was at the clock's last look.
    seen: u64,
    /// What `sent` was when it had not changed from one look to the next.
    suspicious: Option<u64>,
}

impl State {
    fn wake_first(&self) {
        if let Some((_, first)) = self.waiting.first_key_value() {
            first.wake_by_ref();
        }
    }
}

thread_local! {
    static OWN: OnceCell<Arc<Turns>> = const { OnceCell::new() };
}

impl Turns {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock but a waker, and then the state is whole.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn look_later(self: &Arc<Self>, workers: &Workers) {
        workers.submit_at(Instant::now() + LOOK_EVERY, self.clone());
    }
}

impl Task for Turns {
    /// The clock's look.
    fn run(self: Arc<Self>) {
        let mut state = self.lock();
        if state.waiting.is_empty() {
            state.clock = None; // whoever waits next starts it again
            return;
        }
        let sent = self.sent.load(Ordering::Relaxed);
        // Perhaps the thread did not run at all: the first one finds out.
        if sent == state.seen {
            state.suspicious = Some(sent);
            state.wake_first();
        }
        state.seen = sent;
        if let Some(workers) = &state.clock {
            self.look_later(workers);
        }
    }

    fn is_brief(&self) -> bool {
        true
    }
}

/// The part of one stream in the turns of its poll thread, on which alone it is used.
pub(super) struct Turn {
    turns: Arc<Turns>,
    phase: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    /// So many messages may go without a turn.
    Free(u32),
    /// With this ticket.
    Waiting(u64),
    /// With this ticket, for so many more messages.
    Sending(u64, u32),
    /// It held up others once.
    Exempt,
}

impl Turn {
    /// For a stream of the calling poll thread.
    pub(super) fn new() -> Turn {
        Turn {
            turns: OWN.with(|own| own.get_or_init(Arc::default).clone()),
            phase: Phase::Free(FREE),
        }
    }

    /// Whether a small message may be sent now; `waker` is woken when it may.
    #[inline]
    pub(super) fn take(&mut self, waker: &Waker, workers: &Workers) -> bool {
        match &mut self.phase {
            Phase::Free(left @ 1..) => {
                *left -= 1;
                true
            }
            Phase::Sending(ticket, left @ 1..) => {
                if self.turns.holder.load(Ordering::Relaxed) != *ticket {
                    self.phase = Phase::Exempt;
                    return true;
                }
                *left -= 1;
                self.turns.sent.fetch_add(1, Ordering::Relaxed);
                true
            }
            Phase::Exempt => true,
            Phase::Free(0) | Phase::Sending(_, 0) | Phase::Waiting(_) => self.wait(waker, workers),
        }
    }

    /// Whether the turn ends with the message that was let through last, since others wait.
    #[inline]
    pub(super) fn ends(&mut self) -> bool {
        match &mut self.phase {
            Phase::Sending(_, left @ 0) => {
                if self.turns.lock().waiting.is_empty() {
                    *left = BATCH;
                    return false;
                }
                true
            }
            _ => false,
        }
    }

    /// It is the next one's turn. This one has more to send, after that.
    pub(super) fn end(&mut self) {
        if let Phase::Sending(ticket, _) = self.phase {
            self.phase = Phase::Free(0);
            if self.turns.holder.load(Ordering::Relaxed) == ticket {
                let state = self.turns.lock();
                self.turns.holder.store(0, Ordering::Relaxed);
                state.wake_first();
            } else {
                self.phase = Phase::Exempt;
            }
        }
    }

    /// As [`Turn::end`], and it has nothing more to send for now.
    pub(super) fn rest(&mut self) {
        self.end();
        if let Phase::Free(left) = &mut self.phase {
            *left = FREE;
        }
    }

    /// It has nothing more to send, ever. Called before anything else that it may wait for.
    pub(super) fn leave(&mut self) {
        self.end();
        if let Phase::Waiting(ticket) = self.phase {
            self.phase = Phase::Free(0);
            let mut state = self.turns.lock();
            state.waiting.remove(&ticket);
            // It may have been woken for the turn that it will not take.
            if self.turns.holder.load(Ordering::Relaxed) == 0 {
                state.wake_first();
            }
        }
    }

    #[cold]
    fn wait(&mut self, waker: &Waker, workers: &Workers) -> bool {
        self.end();
        let turns = &self.turns;
        let mut state = turns.lock();
        let ticket = match self.phase {
            Phase::Waiting(ticket) => ticket,
            _ => {
                state.last_ticket += 1;
                state.last_ticket
            }
        };
        let holder = turns.holder.load(Ordering::Relaxed);
        let is_first = state
            .waiting
            .first_key_value()
            .is_none_or(|(first, _)| *first >= ticket);
        let is_stuck = || state.suspicious == Some(turns.sent.load(Ordering::Relaxed));
        if is_first && (holder == 0 || is_stuck()) {
            state.waiting.remove(&ticket);
            state.suspicious = None;
            turns.holder.store(ticket, Ordering::Relaxed);
            turns.sent.fetch_add(1, Ordering::Relaxed);
            self.phase = Phase::Sending(ticket, BATCH - 1);
            return true;
        }
        state.waiting.insert(ticket, waker.clone());
        self.phase = Phase::Waiting(ticket);
        if state.clock.is_none() {
            state.seen = turns.sent.load(Ordering::Relaxed);
            state.clock = Some(workers.clone());
            turns.look_later(workers);
        }
        false
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
