//! Wall-clock and CPU time of this process since a reset.

use std::time::Instant;

use nix::sys::resource::{getrusage, UsageWho};
use nix::sys::time::TimeVal;

pub struct Timer {
    start: Sample,
}

/// Seconds since the last reset.
pub struct Elapsed {
    pub wall: f64,
    pub user: f64,
    pub system: f64,
}

struct Sample {
    at: Instant,
    user: f64,
    system: f64,
}

impl Timer {
    pub fn start() -> Timer {
        Timer {
            start: Sample::take(),
        }
    }

    pub fn elapsed(&mut self, reset: bool) -> Elapsed {
        let now = Sample::take();
        let elapsed = Elapsed {
            wall: (now.at - self.start.at).as_secs_f64(),
            user: now.user - self.start.user,
            system: now.system - self.start.system,
        };
        if reset {
            self.start = now;
        }
        elapsed
    }
}

impl Sample {
    fn take() -> Sample {
        let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        // It fails for unknown processes only.
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
        Sample {
            at: Instant::now(),
            user: usage.map_or(0.0, |usage| seconds(usage.user_time())),
            system: usage.map_or(0.0, |usage| seconds(usage.system_time())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_reset_starts_anew() {
        let start = Instant::now();
        let mut timer = Timer::start();
        while start.elapsed() < Duration::from_millis(50) {}
        let first = timer.elapsed(true);
        let second = timer.elapsed(false);
        let whole = start.elapsed().as_secs_f64();
        assert!(first.wall + second.wall <= whole);
        assert!(first.user + first.system > 0.0);
    }
}
