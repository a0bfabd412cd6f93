//! The limit on busy threads, decided from the age of the oldest waiting task. It must not know why
//! a thread is busy: a thread that computes for seconds and one that is blocked keep others waiting
//! alike.

use std::time::Duration;

/// A task that has waited for so long may have more threads. Also the time between two checks
/// while tasks wait.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// Slices a check for each thread that is not stuck. Threads that end more make progress: their
/// tasks wait for processors, which more threads would not give them.
const BRISK: usize = 4;

/// The pool since the last check.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) limit: usize,
    /// Tasks that wait.
    pub(super) ready: usize,
    /// The time that one of the oldest of them has waited.
    pub(super) oldest: Duration,
    /// Threads that have been in one slice all the time.
    pub(super) stuck: usize,
    /// Slices that ended.
    pub(super) ended: usize,
    /// Processors that the process used.
    pub(super) processors: f64,
}

/// The processors are full if the process uses this share of them. Then a stuck thread may only wait
/// for one of them.
const FULL: f64 = 0.9;

/// Checks after the last rise, after which another is tried though it may not help: in between, the
/// limit falls to a fifth.
const TRIED_AFTER: u32 = 12;

/// Finds the limit.
#[derive(Default)]
pub(super) struct Growth {
    /// The limit before its last change, and the slices that ended between two checks.
    before: Option<(usize, usize)>,
    /// Checks since the last rise.
    calm: u32,
}

impl Growth {
    /// The new limit: a thread for each processor beside those that are stuck. While tasks wait in
    /// vain, it doubles if more threads help or nearly all are blocked. Otherwise it falls by an
    /// eighth.
    pub(super) fn limit(&mut self, load: Load, core_threads: usize, max_threads: usize) -> usize {
        let Load {
            limit,
            ready,
            stuck,
            ended,
            ..
        } = load;
        let is_full = load.processors >= FULL * core_threads as f64;
        let moving = limit.saturating_sub(stuck).max(1);
        let waits_in_vain = load.oldest >= PATIENCE && ended < BRISK * moving;
        if ready == 0 {
            self.before = None;
        }
        self.calm += 1;
        let may_help = self.calm >= TRIED_AFTER || self.helps(limit, ended);
        let are_blocked = !is_full && 10 * stuck >= 9 * limit;
        let wanted = if waits_in_vain && (may_help || are_blocked) {
            self.calm = 0;
            (2 * limit).min(limit + ready)
        } else {
            limit - limit / 8 - 1
        };
        // Threads that compute share the processors with those that wait for one, as long as all get
        // on.
        let beside = match is_full && ended >= core_threads {
            true => 0,
            false => stuck,
        };
        let least = (core_threads + beside).min(max_threads);
        let wanted = wanted.clamp(least, max_threads);
        if wanted != limit {
            self.before = Some((limit, ended));
        }
        wanted
    }

    /// Whether the number of slices that end has changed by more than half of the change of the
    /// limit. It does if they block, and not if they compute. True if nothing is known.
    fn helps(&self, limit: usize, ended: usize) -> bool {
        let now = (limit, ended);
        match self.before {
            None => true,
            Some(before) => {
                let (low, high) = (now.min(before), now.max(before));
                low.0 < high.0 && 2 * low.0 * high.1 > low.1 * (low.0 + high.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(load: Load) -> usize {
        Growth::default().limit(load, 2, 64)
    }

    /// Tasks wait in vain.
    fn waiting(limit: usize) -> Load {
        Load {
            limit,
            ready: 100,
            oldest: PATIENCE,
            ended: limit,
            ..Load::default()
        }
    }

    #[test]
    fn tasks_that_wait_double_the_limit() {
        assert_eq!([2, 32, 64].map(|limit| after(waiting(limit))), [4, 64, 64]);
        let few = Load {
            ready: 3,
            ..waiting(32)
        };
        assert_eq!(after(few), 35, "no more than tasks");
        let all_stuck = Load {
            stuck: 30,
            ended: 0,
            ..waiting(30)
        };
        assert_eq!(after(all_stuck), 60);
    }

    #[test]
    fn tasks_that_take_turns_do_not_raise_the_limit() {
        let brisk = Load {
            ended: 32,
            ..waiting(8)
        };
        assert_eq!(after(brisk), 6);
    }

    #[test]
    fn a_rise_that_does_not_pay_is_taken_back() {
        let mut growth = Growth::default();
        let mut limits = Vec::new();
        let mut limit = 2;
        for _ in 0..50 {
            // They compute for 3 ms each: seven in a check, however many threads there are.
            let load = Load {
                ended: 7,
                ..waiting(limit)
            };
            limit = growth.limit(load, 2, 64);
            limits.push(limit);
        }
        assert!(limits.iter().all(|limit| *limit <= 8), "{limits:?}");
        // They block: with each thread come more.
        for _ in 0..60 {
            let load = Load {
                ended: 3 * limit,
                ..waiting(limit)
            };
            limit = growth.limit(load, 2, 64);
        }
        assert_eq!(limit, 64);
    }

    #[test]
    fn stuck_threads_leave_one_a_processor() {
        let stuck = |stuck| Load {
            limit: 2,
            stuck,
            ..Load::default()
        };
        assert_eq!([0, 2, 70].map(|n| after(stuck(n))), [2, 4, 64]);
    }

    #[test]
    fn threads_that_wait_for_a_processor_do_not_raise_the_limit() {
        let preempted = |ended| Load {
            limit: 10,
            stuck: 8,
            ended,
            processors: 2.0,
            ..waiting(10)
        };
        assert_eq!(after(preempted(10)), 8);
        // Unless nothing gets on.
        assert_eq!(after(preempted(0)), 20);
    }

    #[test]
    fn the_limit_falls_slowly_to_the_number_of_processors() {
        let mut load = Load {
            limit: 64,
            ..Load::default()
        };
        let mut checks = 0;
        while load.limit > 2 {
            load.limit = after(load);
            checks += 1;
        }
        assert_eq!(checks, 18);
    }
}
