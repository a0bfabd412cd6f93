//! The limit on busy threads, decided from the tasks that wait in vain. It must not know why a thread
//! is busy: a thread that computes for seconds and one that is blocked keep others waiting alike.

use std::time::Duration;

/// A task that has waited for so long may have more threads. Also the time between two checks
/// while tasks wait.
pub(super) const PATIENCE: Duration = Duration::from_millis(10);

/// Slices a check for each thread that is not stuck. Threads that end more get on: their tasks wait
/// for processors, which more threads would not give them.
const BRISK: usize = 4;

/// The processors are full if the process uses this share of them. Then a stuck thread may only wait
/// for one of them, and a few slices a check are enough to get on.
const FULL: f64 = 0.9;

/// The pool since the last check.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) limit: usize,
    /// Tasks that wait.
    pub(super) ready: usize,
    /// Those that have waited since the last check.
    pub(super) old: usize,
    /// Threads that have been in one slice all the time.
    pub(super) stuck: usize,
    /// Slices that ended.
    pub(super) ended: usize,
    /// Processors that the process used.
    pub(super) processors: f64,
}

impl Load {
    /// The new limit: a thread for each processor beside those that are stuck. It doubles while tasks
    /// wait and the threads do not get on. Otherwise it falls by an eighth.
    pub(super) fn new_limit(self, core_threads: usize, max_threads: usize) -> usize {
        let limit = self.limit;
        let is_full = self.processors >= FULL * core_threads as f64;
        let moving = limit.saturating_sub(self.stuck).max(1);
        let gets_on = match is_full {
            true => self.ended >= core_threads,
            false => self.ended >= BRISK * moving,
        };
        let wanted = match self.old > 0 && !gets_on {
            true => (2 * limit).min(limit + self.ready),
            false => limit - limit / 8 - 1,
        };
        let beside = match is_full && gets_on {
            true => 0,
            false => self.stuck,
        };
        let least = (core_threads + beside).min(max_threads);
        wanted.clamp(least, max_threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(load: Load) -> usize {
        load.new_limit(2, 64)
    }

    /// Tasks wait in vain.
    fn waiting(limit: usize) -> Load {
        Load {
            limit,
            ready: 100,
            old: 100,
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
        let new = Load {
            old: 0,
            ..waiting(8)
        };
        assert_eq!(after(new), 6);
    }

    #[test]
    fn tasks_that_compute_do_not_raise_the_limit() {
        // For 3 ms each: seven in a check, however many threads there are.
        let computing = |limit| Load {
            ended: 7,
            processors: 2.0,
            stuck: limit - 2,
            ..waiting(limit)
        };
        assert_eq!([2, 10].map(|limit| after(computing(limit))), [2, 8]);
        // Unless nothing gets on.
        let endless = Load {
            ended: 0,
            ..computing(10)
        };
        assert_eq!(after(endless), 20);
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
