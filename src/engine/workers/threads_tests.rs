//! The number of threads.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;

use super::super::testing::{eventually, DEADLINE};
use super::tests::{blocked, cpu, pool, send, task, wait_for};
use super::*;

#[test]
fn the_pool_grows_while_threads_are_blocked_up_to_the_maximum() {
    const CAP: usize = 12;
    let workers = pool(CAP, DEADLINE);
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    for _ in 0..2 * CAP {
        workers.submit(blocked(&gate));
    }
    eventually("all threads are blocked", || {
        workers.status().threads == CAP
    });
    eventually("the other tasks wait", || workers.status().ready == CAP);
    // Without the maximum, more would start within a few checks.
    thread::sleep(Duration::from_millis(50));
    assert_eq!(workers.status().threads, CAP);
    drop(release);
    eventually("all is done", || workers.status().idle == CAP);
}

#[test]
fn idle_threads_end_down_to_the_number_of_processors() {
    let workers = pool(16, Duration::from_millis(20));
    let at_rest = workers.status().threads;
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    for _ in 0..16 {
        workers.submit(blocked(&gate));
    }
    eventually("the pool grows", || workers.status().threads == 16);
    drop(release);
    eventually("the pool shrinks", || workers.status().threads == at_rest);
}

fn busy(workers: &Workers) -> usize {
    let status = workers.status();
    status.threads - status.idle
}

/// A task of `slices` slices that submits itself again after each.
struct Slices {
    workers: Workers,
    slice: fn(),
    left: AtomicU32,
    done: mpsc::Sender<()>,
}

impl Task for Slices {
    fn run(self: Arc<Self>) {
        (self.slice)();
        if self.left.fetch_sub(1, Ordering::Relaxed) > 1 {
            self.workers.clone().submit(self);
        } else {
            self.done.send(()).unwrap();
        }
    }
}

/// Submits `tasks` tasks of `slices` slices each; the receiver gets one message a task.
fn submit_slices(workers: &Workers, tasks: u32, slices: u32, slice: fn()) -> mpsc::Receiver<()> {
    let (tx, rx) = mpsc::channel();
    for _ in 0..tasks {
        workers.submit(Arc::new(Slices {
            workers: workers.clone(),
            slice,
            left: AtomicU32::new(slices),
            done: tx.clone(),
        }));
    }
    rx
}

fn block() {
    thread::sleep(Duration::from_millis(3));
}

/// Uses `time` of CPU.
fn compute(time: Duration) {
    let end = cpu() + time;
    while cpu() < end {}
}

#[test]
fn the_pool_grows_for_tasks_that_block_for_3_ms() {
    let workers = pool(64, DEADLINE);
    // They take 60 ms with a thread each, 2 s with two threads.
    let done = submit_slices(&workers, 64, 20, block);
    // With 20 threads no task waits for longer than 10 ms.
    eventually("16 tasks block at the same time", || busy(&workers) >= 16);
    wait_for(64, &done);
}

#[test]
fn short_slices_get_no_more_threads_than_processors() {
    let workers = pool(64, DEADLINE);
    let processors = workers.status().threads;
    let tiny = || compute(Duration::from_micros(20));
    let done = submit_slices(&workers, 64, 400, tiny);
    let (samples, beyond, finished) = (Cell::new(0), Cell::new(0), Cell::new(0));
    eventually("all tasks are done", || {
        samples.set(samples.get() + 1);
        beyond.set(beyond.get() + u32::from(busy(&workers) > processors));
        finished.set(finished.get() + done.try_iter().count());
        finished.get() == 64
    });
    // A machine that stops its processors for a while makes tasks wait in vain.
    let share = f64::from(beyond.get()) / f64::from(samples.get());
    assert!(share < 0.5, "{share} of the samples");
}

#[test]
fn a_task_runs_beside_tasks_that_compute_without_end() {
    let workers = pool(64, DEADLINE);
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..2 * workers.status().threads {
        let stop = stop.clone();
        workers.submit(task(move || while !stop.load(Ordering::Relaxed) {}));
    }
    for n in 0..20 {
        let (tx, rx) = mpsc::channel();
        workers.submit(send(&tx, n));
        assert_eq!(rx.recv_timeout(DEADLINE), Ok(n));
    }
    stop.store(true, Ordering::Relaxed);
    eventually("all is done", || busy(&workers) == 0);
}

#[test]
fn the_limit_falls_when_blocked_threads_return() {
    let workers = pool(64, DEADLINE);
    let processors = workers.status().threads;
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    for _ in 0..40 {
        workers.submit(blocked(&gate));
    }
    eventually("all are blocked", || busy(&workers) == 40);
    drop(release);
    eventually("the limit falls", || {
        workers.pool.lock().limit == processors
    });
}

#[test]
fn a_full_pool_says_so_until_a_thread_is_free() {
    let workers = pool(2, DEADLINE);
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    for _ in 0..3 {
        workers.submit(blocked(&gate));
    }
    eventually("the pool is full", || {
        workers.status().full_for > Duration::from_millis(100)
    });
    drop(release);
    eventually("no task waits", || workers.status().full_for.is_zero());
}
