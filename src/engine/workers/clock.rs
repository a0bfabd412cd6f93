//! The clock of the pool: a thread that hands out what is due, and starts further workers while
//! those there are seem blocked. It runs no tasks.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::{Due, Pool, State};

/// A thread that has been in one slice for so long, and sleeps, counts as blocked. A slice of a
/// producer that is not blocked takes well under a millisecond.
pub(super) const BLOCKED_AFTER: Duration = Duration::from_millis(5);

/// Due tasks move to the ready queue in portions, so that a poll thread that submits something
/// meanwhile never waits long for the lock.
const DUE_PORTION: usize = 256;

impl Pool {
    /// The life of the clock thread.
    pub(super) fn keep_time(self: Arc<Self>) {
        let mut state = self.lock();
        let mut woken = Vec::new();
        while !state.stopping {
            let now = Instant::now();
            if self.release_due(&mut state, &mut woken, now) || !woken.is_empty() {
                // More may be due: let go of the lock for a moment, then come back.
                drop(state);
                woken.drain(..).for_each(Waker::wake);
                state = self.lock();
                continue;
            }
            let next_due = state
                .scheduled
                .first_key_value()
                .map(|(timer, _)| timer.due);
            state.clock_watches = !state.ready.is_empty();
            let next_look = state.clock_watches.then(|| now + BLOCKED_AFTER);
            if state.clock_watches {
                self.grow(&mut state);
            }
            state = match next_due.into_iter().chain(next_look).min() {
                None => self.clock.wait(state).unwrap_or_else(|e| e.into_inner()),
                Some(until) => {
                    let wait = until.saturating_duration_since(Instant::now());
                    let woken = self.clock.wait_timeout(state, wait);
                    woken.unwrap_or_else(|e| e.into_inner()).0
                }
            };
        }
    }

    /// Hands one portion of what is due to the workers, or to `woken`; true if there is more.
    fn release_due(&self, state: &mut State, woken: &mut Vec<Waker>, now: Instant) -> bool {
        for _ in 0..DUE_PORTION {
            match state.scheduled.first_entry() {
                Some(first) if first.key().due <= now => match first.remove() {
                    Due::Run(task) => self.make_ready(state, task),
                    Due::Wake(waker) => woken.push(waker),
                },
                _ => return false,
            }
        }
        true
    }

    /// Starts threads where those there are seem blocked while tasks wait: as many as are blocked,
    /// and when all of them are, as many again.
    fn grow(self: &Arc<Self>, state: &mut State) {
        let threads = state.threads.len();
        let allowed = self.max_threads.saturating_sub(threads);
        if allowed == 0 {
            return;
        }
        let since = self.now().saturating_sub(BLOCKED_AFTER.as_nanos() as u64);
        let blocked = state
            .threads
            .iter()
            .filter(|worker| worker.is_blocked(since))
            .count();
        let wanted = if blocked == threads {
            threads
        } else {
            self.core_threads.saturating_sub(threads - blocked)
        };
        for _ in 0..wanted.min(state.ready.len()).min(allowed) {
            if let Err(error) = self.start_worker(state) {
                // The threads there are go on; the next look tries again.
                tracing::warn!(%error, threads, "cannot start another worker thread");
                break;
            }
        }
    }
}
