//! The write scheduler of one poll thread: which of its busy streams writes now.
//!
//! If a poll thread changes the stream after each message, the streams' states, 14 KB each in the
//! C-core alone, evict one another from its caches: with 256 busy streams a message then costs a
//! third more. So a stream with a backlog of small messages writes a batch of [`BATCH_MESSAGES`]
//! while the others wait, and then the next stream does. The last message of a batch is flushed, so
//! no message waits in a buffer for the next batch. The scheduler knows nothing of channels or
//! sinks.
//!
//! A batch of small messages fits the C-core's write buffer, so it does not wait for its reader.
//! But it can wait for a connection that is blocked in the middle of a write. So a timer checks
//! whether batches make progress; if not, the next stream checks again, behind all earlier events
//! of the poll thread, and takes over. The stuck stream is exempt from scheduling from then on.
//!
//! | state | may write | leaves it |
//! | --- | --- | --- |
//! | `Free(n)` | n more messages | n is used up → `Waiting` or `Writing` |
//! | `Waiting` | no | its turn → `Writing`; `leave` → `Free` |
//! | `Writing(n)` | n more messages | batch used and others wait, idle → `Free`; taken over → `Exempt` |
//! | `Exempt` | always | never |
//!
//! A slot is used on its poll thread alone; only the timer runs elsewhere. `writer` changes under
//! the lock and on the poll thread, so a relaxed load there sees the last value. `written` is a
//! progress counter for the timer, which may read an old value: the stream that it wakes checks
//! again.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::super::workers::{Task, Workers};

/// Messages in a batch. With 64, 32 and 16 a message costs 1.1, 1.2 and 1.4 times as much, with 1024
/// the same.
const BATCH_MESSAGES: u32 = 256;

/// The largest scheduled message, in bytes: a batch of these fits the C-core's write buffer of 64
/// KiB. A few larger messages fill that buffer, so they are not scheduled.
const MAX_SCHEDULED_BYTES: u32 = 200;

/// Messages that a stream may write unscheduled after it was idle: streams that write rarely do not
/// wait for busy ones.
const UNSCHEDULED_MESSAGES: u32 = 16;

/// Time between two progress checks while streams wait.
const CHECK_INTERVAL: Duration = Duration::from_millis(1);

/// The scheduler of one poll thread.
#[derive(Default)]
struct Scheduler {
    /// Messages written in batches.
    written: AtomicU64,
    /// The ticket of the stream that writes its batch, or 0.
    writer: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By ticket: first come, first served. When no stream writes, the first one is woken.
    waiting: BTreeMap<u64, Waker>,
    last_ticket: u64,
    /// `Some` while the timer runs.
    timer: Option<Workers>,
    /// `written` at the timer's last check.
    seen: u64,
    /// `written` when it had not changed between two checks.
    stuck_at: Option<u64>,
}

impl State {
    fn wake_first(&self) {
        if let Some((_, first)) = self.waiting.first_key_value() {
            first.wake_by_ref();
        }
    }
}

thread_local! {
    static SCHEDULER: OnceCell<Arc<Scheduler>> = const { OnceCell::new() };
}

impl Scheduler {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Only a waker can panic under the lock, and then the state is whole.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn check_later(self: &Arc<Self>, workers: &Workers) {
        workers.submit_at(Instant::now() + CHECK_INTERVAL, self.clone());
    }
}

impl Task for Scheduler {
    /// The timer's check.
    fn run(self: Arc<Self>) {
        let mut state = self.lock();
        if state.waiting.is_empty() {
            state.timer = None; // the next stream that waits starts it again
            return;
        }
        let written = self.written.load(Ordering::Relaxed);
        // The poll thread may not have run at all: the first stream checks again.
        if written == state.seen {
            state.stuck_at = Some(written);
            state.wake_first();
        }
        state.seen = written;
        if let Some(workers) = &state.timer {
            self.check_later(workers);
        }
    }

    fn is_brief(&self) -> bool {
        true
    }
}

/// One stream in the scheduler of its poll thread.
pub(super) struct WriteSlot {
    scheduler: Arc<Scheduler>,
    phase: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    Free(u32),
    /// With this ticket.
    Waiting(u64),
    /// With this ticket, for this number of further messages.
    Writing(u64, u32),
    Exempt,
}

impl WriteSlot {
    /// For a stream of the calling poll thread.
    pub(super) fn new() -> WriteSlot {
        WriteSlot {
            scheduler: SCHEDULER.with(|own| own.get_or_init(Arc::default).clone()),
            phase: Phase::Free(UNSCHEDULED_MESSAGES),
        }
    }

    /// Whether a message of `size` bytes may be written now. If not, `waker` is woken in its turn.
    #[inline]
    pub(super) fn may_write(&mut self, size: u32, waker: &Waker, workers: &Workers) -> bool {
        if size > MAX_SCHEDULED_BYTES {
            self.end_batch();
            return true;
        }
        match &mut self.phase {
            Phase::Free(left @ 1..) => {
                *left -= 1;
                true
            }
            Phase::Writing(ticket, left @ 1..) => {
                if self.scheduler.writer.load(Ordering::Relaxed) != *ticket {
                    self.phase = Phase::Exempt;
                    return true;
                }
                *left -= 1;
                self.scheduler.written.fetch_add(1, Ordering::Relaxed);
                true
            }
            Phase::Exempt => true,
            Phase::Free(0) | Phase::Writing(_, 0) | Phase::Waiting(_) => self.wait(waker, workers),
        }
    }

    /// Whether the batch ends with the last allowed message, because other streams wait. The caller
    /// then flushes it and calls [`WriteSlot::end_batch`].
    #[inline]
    pub(super) fn batch_is_used(&mut self) -> bool {
        match &mut self.phase {
            Phase::Writing(_, left @ 0) => {
                if self.scheduler.lock().waiting.is_empty() {
                    *left = BATCH_MESSAGES;
                    return false;
                }
                true
            }
            _ => false,
        }
    }

    /// Ends the batch, so that the next stream may write. This stream has more to write later.
    pub(super) fn end_batch(&mut self) {
        if let Phase::Writing(ticket, _) = self.phase {
            self.phase = Phase::Free(0);
            if self.scheduler.writer.load(Ordering::Relaxed) == ticket {
                let state = self.scheduler.lock();
                self.scheduler.writer.store(0, Ordering::Relaxed);
                state.wake_first();
            } else {
                self.phase = Phase::Exempt;
            }
        }
    }

    /// Ends the batch: this stream has no message for now.
    pub(super) fn become_idle(&mut self) {
        self.end_batch();
        if let Phase::Free(left) = &mut self.phase {
            *left = UNSCHEDULED_MESSAGES;
        }
    }

    /// Leaves the scheduler: this stream writes no more messages. Call it before any other wait.
    pub(super) fn leave(&mut self) {
        self.end_batch();
        if let Phase::Waiting(ticket) = self.phase {
            self.phase = Phase::Free(0);
            let mut state = self.scheduler.lock();
            state.waiting.remove(&ticket);
            // The wake-up may have been for the batch that this stream will not write.
            if self.scheduler.writer.load(Ordering::Relaxed) == 0 {
                state.wake_first();
            }
        }
    }

    #[cold]
    fn wait(&mut self, waker: &Waker, workers: &Workers) -> bool {
        self.end_batch();
        let scheduler = &self.scheduler;
        let mut state = scheduler.lock();
        let ticket = match self.phase {
            Phase::Waiting(ticket) => ticket,
            _ => {
                state.last_ticket += 1;
                state.last_ticket
            }
        };
        let writer = scheduler.writer.load(Ordering::Relaxed);
        let is_first = state
            .waiting
            .first_key_value()
            .is_none_or(|(first, _)| *first >= ticket);
        let is_stuck = || state.stuck_at == Some(scheduler.written.load(Ordering::Relaxed));
        if is_first && (writer == 0 || is_stuck()) {
            state.waiting.remove(&ticket);
            state.stuck_at = None;
            scheduler.writer.store(ticket, Ordering::Relaxed);
            scheduler.written.fetch_add(1, Ordering::Relaxed);
            self.phase = Phase::Writing(ticket, BATCH_MESSAGES - 1);
            return true;
        }
        state.waiting.insert(ticket, waker.clone());
        self.phase = Phase::Waiting(ticket);
        if state.timer.is_none() {
            state.seen = scheduler.written.load(Ordering::Relaxed);
            state.timer = Some(workers.clone());
            scheduler.check_later(workers);
        }
        false
    }
}

impl Drop for WriteSlot {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
