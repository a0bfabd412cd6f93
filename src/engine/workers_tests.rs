use std::sync::mpsc;

use super::super::testing::{eventually, DEADLINE};
use super::clock::BLOCKED_AFTER;
use super::*;

struct Run<F>(F);

impl<F: Fn() + Send + Sync + 'static> Task for Run<F> {
    fn run(self: Arc<Self>) {
        (self.0)();
    }
}

fn task(run: impl Fn() + Send + Sync + 'static) -> Arc<dyn Task> {
    Arc::new(Run(run))
}

/// A task that says its name, in the order in which tasks run.
fn say(said: &mpsc::Sender<u32>, what: u32) -> Arc<dyn Task> {
    let said = Mutex::new(said.clone());
    task(move || said.lock().unwrap().send(what).unwrap())
}

/// A task that blocks until the other half of the gate is dropped.
fn blocked(gate: &crossbeam_channel::Receiver<()>) -> Arc<dyn Task> {
    let gate = gate.clone();
    task(move || {
        let _ = gate.recv();
    })
}

fn pool(max_threads: usize, keep_alive: Duration) -> Workers {
    Workers::new(WorkersConfig {
        max_threads,
        keep_alive,
    })
    .unwrap()
}

#[test]
fn tasks_run_in_the_order_in_which_they_came() {
    let workers = pool(1, DEADLINE);
    let (tx, rx) = mpsc::channel();
    for n in 0..100 {
        workers.submit(say(&tx, n));
    }
    let said: Vec<_> = (0..100)
        .map(|_| rx.recv_timeout(DEADLINE).unwrap())
        .collect();
    assert_eq!(said, (0..100).collect::<Vec<_>>());
}

#[test]
fn what_is_due_later_runs_later_and_never_early() {
    let workers = pool(1, DEADLINE);
    let (tx, rx) = mpsc::channel();
    let now = Instant::now();
    for delay in [30, 10, 20] {
        workers.submit_at(now + Duration::from_millis(delay.into()), say(&tx, delay));
    }
    for delay in [10, 20, 30] {
        assert_eq!(rx.recv_timeout(DEADLINE), Ok(delay));
        assert!(now.elapsed() >= Duration::from_millis(delay.into()));
    }
}

#[test]
fn what_is_due_earlier_overtakes_a_clock_that_sleeps() {
    let workers = pool(1, DEADLINE);
    let (tx, rx) = mpsc::channel();
    let hour = Duration::from_secs(3600);
    workers.submit_at(Instant::now() + hour, say(&tx, 1));
    workers.submit_at(Instant::now() + Duration::from_millis(5), say(&tx, 2));
    assert_eq!(rx.recv_timeout(DEADLINE), Ok(2));
}

#[test]
fn a_cancelled_task_is_freed_at_once() {
    let workers = pool(1, DEADLINE);
    let held = Arc::new(());
    let owned = held.clone();
    let timer = workers.submit_at(
        Instant::now() + Duration::from_secs(3600),
        task(move || drop(owned.clone())),
    );
    assert_eq!(workers.status().scheduled, 1);
    assert!(workers.cancel(timer));
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(workers.status().scheduled, 0);
    assert!(!workers.cancel(timer), "only once");
}

#[test]
fn blocked_threads_are_joined_by_others_up_to_the_cap_and_no_further() {
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
    // A clock that would start more would do so within a few of its rounds.
    std::thread::sleep(4 * BLOCKED_AFTER);
    assert_eq!(workers.status().threads, CAP);
    drop(release);
    eventually("all is done", || workers.status().idle == CAP);
}

#[test]
fn a_due_task_runs_though_all_threads_are_blocked() {
    let workers = pool(64, DEADLINE);
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    let (tx, rx) = mpsc::channel();
    let cores = workers.status().threads;
    for _ in 0..cores {
        workers.submit(blocked(&gate));
    }
    workers.submit_at(Instant::now() + Duration::from_millis(20), say(&tx, 1));
    assert_eq!(rx.recv_timeout(DEADLINE), Ok(1));
    drop(release);
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

#[test]
fn a_panic_ends_its_task_and_no_thread() {
    let workers = pool(1, DEADLINE);
    let (tx, rx) = mpsc::channel();
    workers.submit(task(|| panic!("a task's own fault")));
    workers.submit(say(&tx, 1));
    assert_eq!(rx.recv_timeout(DEADLINE), Ok(1));
}

#[test]
fn dropping_the_pool_frees_what_waits_and_ends_its_threads() {
    let workers = pool(4, DEADLINE);
    let pool = Arc::downgrade(&workers.pool);
    let held = Arc::new(());
    let owned = held.clone();
    workers.submit_at(
        Instant::now() + Duration::from_secs(3600),
        task(move || drop(owned.clone())),
    );
    drop(workers);
    assert_eq!(Arc::strong_count(&held), 1);
    eventually("the threads end", || pool.strong_count() == 0);
}

struct Brief<F>(F);

impl<F: Fn() + Send + Sync + 'static> Task for Brief<F> {
    fn run(self: Arc<Self>) {
        (self.0)();
    }

    fn is_brief(&self) -> bool {
        true
    }
}

#[test]
fn what_is_brief_runs_in_time_though_all_threads_are_blocked() {
    let workers = pool(1, DEADLINE);
    let (open, gate) = crossbeam_channel::bounded(0);
    workers.submit(blocked(&gate));
    let (tx, rx) = mpsc::channel();
    let said = Mutex::new(tx);
    let brief = Brief(move || said.lock().unwrap().send(()).unwrap());
    workers.submit_at(Instant::now(), Arc::new(brief));
    rx.recv_timeout(DEADLINE).unwrap();
    // A panic in one does not stop the clock.
    workers.submit_at(Instant::now(), Arc::new(Brief(|| panic!("as it should"))));
    let (tx, rx) = mpsc::channel();
    workers.submit_at(Instant::now(), say(&tx, 1));
    drop(open);
    assert_eq!(rx.recv_timeout(DEADLINE), Ok(1));
}
