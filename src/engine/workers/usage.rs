//! CPU use of the worker threads, and the blocked time in their slices. It measures, and must not
//! know the decisions.
//!
//! A blocked thread and one that waits for a processor look alike in the CPU clock. The kernel's
//! count of involuntary switches tells them apart, but only the thread itself can read its own. So
//! each thread measures its slices.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{getrusage, UsageWho};
use nix::time::ClockId;
use nix::unistd::gettid;

/// Time between two readings of a thread's clocks: 0.5 µs for each 500 µs.
const REPORT_INTERVAL: Duration = Duration::from_micros(500);

/// One worker thread, as the clock thread sees it.
pub(super) struct Worker {
    cpu_clock: ClockId,
    /// Slices begun plus slices ended, so odd while the thread is in one.
    steps: AtomicU64,
}

impl Worker {
    /// The calling thread.
    pub(super) fn current() -> Worker {
        // Linux's id for the CPU clock of a thread, the same as from `pthread_getcpuclockid`.
        let id = (!gettid().as_raw() << 3) | 6;
        Worker {
            cpu_clock: ClockId::from_raw(id),
            steps: AtomicU64::new(0),
        }
    }

    /// Runs `slice`, marked as a slice.
    pub(super) fn run(&self, slice: impl FnOnce()) {
        let steps = self.steps.load(Ordering::Relaxed);
        self.steps.store(steps + 1, Ordering::Relaxed);
        slice();
        self.steps.store(steps + 2, Ordering::Relaxed);
    }

    /// Identifies the thread's current slice, if any.
    pub(super) fn slice(&self) -> Option<u64> {
        let steps = self.steps.load(Ordering::Relaxed);
        (steps % 2 == 1).then_some(steps)
    }

    /// CPU time of the thread so far; `None` when it has ended.
    pub(super) fn cpu(&self) -> Option<Duration> {
        self.cpu_clock.now().ok().map(Duration::from)
    }
}

/// Time in finished slices, summed over all threads, in nanoseconds.
#[derive(Default)]
pub(super) struct SliceTimes {
    seen: AtomicU64,
    blocked: AtomicU64,
    maybe_blocked: AtomicU64,
}

impl SliceTimes {
    fn add(to: &AtomicU64, time: Duration) {
        to.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Takes the sums since the last call, in seconds: the time in slices, the blocked part, and
    /// the part that was blocked unless the thread waited for a lock whose holder was preempted.
    pub(super) fn take(&self) -> [f64; 3] {
        [&self.seen, &self.blocked, &self.maybe_blocked]
            .map(|sum| sum.swap(0, Ordering::Relaxed) as f64 / 1e9)
    }
}

/// The number of times that the kernel preempted a thread of this process.
pub(super) fn preemptions() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    usage.map_or(0, |usage| usage.involuntary_context_switches())
}

/// Context switches of the calling thread so far.
struct Switches {
    voluntary: i64,
    preemptions: i64,
}

impl Switches {
    fn now() -> Switches {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).ok();
        Switches {
            voluntary: usage.map_or(0, |usage| usage.voluntary_context_switches()),
            preemptions: usage.map_or(0, |usage| usage.involuntary_context_switches()),
        }
    }
}

/// Measures the slices of the calling thread.
#[derive(Default)]
pub(super) struct SliceMeter {
    last: Option<Reading>,
    /// Since the last reading.
    in_slices: Duration,
    slices: u32,
}

struct Reading {
    at: Instant,
    cpu: Duration,
    switches: Switches,
}

impl SliceMeter {
    pub(super) fn run(&mut self, measured: bool, slice_times: &SliceTimes, slice: impl FnOnce()) {
        if !measured {
            if self.slices > 0 {
                self.report(Instant::now(), slice_times);
            }
            self.last = None;
            return slice();
        }
        let began = Instant::now();
        let is_recent = |last: &Reading| began.duration_since(last.at) < REPORT_INTERVAL;
        if !self.last.as_ref().is_some_and(is_recent) {
            self.report(began, slice_times);
        }
        slice();
        self.in_slices += began.elapsed();
        self.slices += 1;
    }

    fn report(&mut self, now: Instant, slice_times: &SliceTimes) {
        let cpu = ClockId::CLOCK_THREAD_CPUTIME_ID.now();
        let reading = Reading {
            at: now,
            cpu: cpu.map_or(Duration::ZERO, Duration::from),
            switches: Switches::now(),
        };
        let seen = mem::take(&mut self.in_slices);
        let slices = mem::take(&mut self.slices);
        if let (Some(last), true) = (&self.last, slices > 0) {
            SliceTimes::add(&slice_times.seen, seen);
            let off_cpu = seen.saturating_sub(reading.cpu.saturating_sub(last.cpu));
            let blocks = reading.switches.voluntary - last.switches.voluntary;
            let preemptions = reading.switches.preemptions - last.switches.preemptions;
            if blocks > 0 && slices == 1 {
                let share = blocks as f64 / (blocks + preemptions) as f64;
                SliceTimes::add(&slice_times.blocked, off_cpu.mul_f64(share));
            } else if blocks > 0 && preemptions == 0 {
                SliceTimes::add(&slice_times.maybe_blocked, off_cpu);
            }
        }
        self.last = Some(reading);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::DEADLINE;
    use super::*;

    fn spin(time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            std::hint::spin_loop();
        }
    }

    /// Share of the time in slices that was blocked.
    fn blocked_share(slice: impl Fn()) -> f64 {
        let (mut meter, slice_times) = (SliceMeter::default(), SliceTimes::default());
        (0..20).for_each(|_| meter.run(true, &slice_times, &slice));
        let [seen, blocked, maybe_blocked] = slice_times.take();
        assert!(seen > 0.0);
        (blocked + maybe_blocked) / seen
    }

    #[test]
    fn sleeping_slices_are_blocked_and_computing_ones_are_not() {
        let sleeping = blocked_share(|| std::thread::sleep(Duration::from_millis(3)));
        assert!(sleeping > 0.5, "{sleeping}");
        let computing = blocked_share(|| spin(Duration::from_millis(1)));
        assert!(computing < 0.3, "{computing}");
    }

    #[test]
    fn the_cpu_clock_of_another_thread_advances_while_it_computes() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            let own = std::sync::Arc::new(Worker::current());
            sender.send(own.clone()).unwrap();
            spin(Duration::from_millis(20));
            sender.send(own).unwrap();
            let _ = gate.recv();
        });
        let worker = receiver.recv_timeout(DEADLINE).unwrap();
        let before = worker.cpu().unwrap();
        receiver.recv_timeout(DEADLINE).unwrap();
        assert!(worker.cpu().unwrap() > before);
        drop(release);
        other.join().unwrap();
    }
}
