use std::sync::{mpsc, Mutex};

use nix::time::ClockId;

use super::super::testing::{eventually, DEADLINE};
use super::*;

struct Run<F>(F);

impl<F: Fn() + Send + Sync + 'static> Task for Run<F> {
    fn run(self: Arc<Self>) {
        (self.0)();
    }
}

pub(super) fn task(run: impl Fn() + Send + Sync + 'static) -> Arc<dyn Task> {
    Arc::new(Run(run))
}

/// A task that sends `message` when it runs.
pub(super) fn send(sender: &mpsc::Sender<u32>, message: u32) -> Arc<dyn Task> {
    let sender = Mutex::new(sender.clone());
    task(move || sender.lock().unwrap().send(message).unwrap())
}

/// A task that blocks until the sender of `gate` is dropped.
pub(super) fn blocked(gate: &crossbeam_channel::Receiver<()>) -> Arc<dyn Task> {
    let gate = gate.clone();
    task(move || {
        let _ = gate.recv();
    })
}

pub(super) fn pool(max_threads: usize, keep_alive: Duration) -> Workers {
    Workers::new(WorkersConfig {
        max_threads,
        keep_alive,
    })
    .unwrap()
}

#[test]
fn tasks_run_in_the_order_of_submission() {
    let workers = pool(1, DEADLINE);
    let (tx, rx) = mpsc::channel();
    for n in 0..100 {
        workers.submit(send(&tx, n));
    }
    let sent: Vec<_> = (0..100)
        .map(|_| rx.recv_timeout(DEADLINE).unwrap())
        .collect();
    assert_eq!(sent, (0..100).collect::<Vec<_>>());
}

#[test]
fn tasks_run_in_the_order_of_their_due_times_and_never_early() {
    let workers = pool(1, DEADLINE);
    let (tx, rx) = mpsc::channel();
    let now = Instant::now();
    for delay in [30, 10, 20] {
        workers.submit_at(now + Duration::from_millis(delay.into()), send(&tx, delay));
    }
    for delay in [10, 20, 30] {
        assert_eq!(rx.recv_timeout(DEADLINE), Ok(delay));
        assert!(now.elapsed() >= Duration::from_millis(delay.into()));
    }
}

#[test]
fn an_earlier_task_wakes_the_sleeping_clock() {
    let workers = pool(1, DEADLINE);
    let (tx, rx) = mpsc::channel();
    let hour = Duration::from_secs(3600);
    workers.submit_at(Instant::now() + hour, send(&tx, 1));
    workers.submit_at(Instant::now() + Duration::from_millis(5), send(&tx, 2));
    assert_eq!(rx.recv_timeout(DEADLINE), Ok(2));
}

#[test]
fn a_cancelled_task_is_dropped_at_once() {
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
fn a_due_task_runs_even_if_all_threads_are_blocked() {
    let workers = pool(64, DEADLINE);
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    let (tx, rx) = mpsc::channel();
    let cores = workers.status().threads;
    for _ in 0..cores {
        workers.submit(blocked(&gate));
    }
    workers.submit_at(Instant::now() + Duration::from_millis(20), send(&tx, 1));
    assert_eq!(rx.recv_timeout(DEADLINE), Ok(1));
    drop(release);
}

#[test]
fn a_panic_ends_its_task_but_not_its_thread() {
    let workers = pool(1, DEADLINE);
    let (tx, rx) = mpsc::channel();
    workers.submit(task(|| panic!("as it should")));
    workers.submit(send(&tx, 1));
    assert_eq!(rx.recv_timeout(DEADLINE), Ok(1));
}

#[test]
fn dropping_the_pool_drops_waiting_tasks_and_ends_its_threads() {
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
fn a_brief_task_runs_on_time_even_if_all_threads_are_blocked() {
    let workers = pool(1, DEADLINE);
    let (open, gate) = crossbeam_channel::bounded(0);
    workers.submit(blocked(&gate));
    let (tx, rx) = mpsc::channel();
    let sender = Mutex::new(tx);
    let brief = Brief(move || sender.lock().unwrap().send(()).unwrap());
    workers.submit_at(Instant::now(), Arc::new(brief));
    rx.recv_timeout(DEADLINE).unwrap();
    // A panic in a brief task does not stop the clock.
    workers.submit_at(Instant::now(), Arc::new(Brief(|| panic!("as it should"))));
    let (tx, rx) = mpsc::channel();
    workers.submit_at(Instant::now(), send(&tx, 1));
    drop(open);
    assert_eq!(rx.recv_timeout(DEADLINE), Ok(1));
}

struct Urgent<F>(F);

impl<F: Fn() + Send + Sync + 'static> Task for Urgent<F> {
    fn run(self: Arc<Self>) {
        (self.0)();
    }

    fn is_urgent(&self) -> bool {
        true
    }
}

#[test]
fn urgent_tasks_run_though_all_threads_are_blocked() {
    let workers = pool(2, DEADLINE);
    let (_open, gate) = crossbeam_channel::bounded(0);
    for _ in 0..4 {
        workers.submit(blocked(&gate));
    }
    eventually("all are blocked", || workers.status().ready == 2);
    let (tx, rx) = mpsc::channel();
    let sender = Mutex::new(tx);
    let urgent = Arc::new(Urgent(move || sender.lock().unwrap().send(()).unwrap()));
    for _ in 0..100 {
        workers.submit_at(Instant::now(), urgent.clone());
    }
    wait_for(100, &rx);
    assert_eq!(workers.status().ready, 2);
}

#[test]
fn an_urgent_task_that_blocks_keeps_no_other_from_the_last_thread() {
    let workers = pool(1, DEADLINE);
    let (_open, gate) = crossbeam_channel::bounded::<()>(0);
    let blocks = gate.clone();
    let urgent = Urgent(move || {
        let _ = blocks.recv();
    });
    workers.submit(Arc::new(urgent));
    for n in 0..100 {
        let (tx, rx) = mpsc::channel();
        workers.submit(send(&tx, n));
        assert_eq!(rx.recv_timeout(DEADLINE), Ok(n));
    }
    assert_eq!(workers.status().threads, 2);
}

pub(super) fn wait_for(tasks: u32, done: &mpsc::Receiver<()>) {
    for _ in 0..tasks {
        done.recv_timeout(DEADLINE).unwrap();
    }
}

/// CPU time of the calling thread.
pub(super) fn cpu() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
}

struct PanicOnDrop;

impl Task for PanicOnDrop {
    fn run(self: Arc<Self>) {}
}

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        panic!("as it should");
    }
}

#[test]
fn panics_in_the_drop_of_tasks_are_caught() {
    let workers = pool(1, DEADLINE);
    let later = Instant::now() + Duration::from_secs(3600);
    let timers = [(); 4].map(|()| workers.submit_at(later, Arc::new(PanicOnDrop)));
    assert!(workers.cancel(timers[0]));
    let (_open, gate) = crossbeam_channel::bounded(0);
    workers.submit(blocked(&gate));
    workers.submit(Arc::new(PanicOnDrop));
    workers.submit(Arc::new(PanicOnDrop));
    // Two panics in one drop would abort the process.
    drop(workers);
}

/// The longest CPU time of one step, of the least among three runs: reallocations come at the same
/// step of each run.
fn longest_step(mut run: impl FnMut(&mut dyn FnMut(&mut dyn FnMut()))) -> Duration {
    let mut least: Vec<Duration> = Vec::new();
    for _ in 0..3 {
        let mut index = 0;
        run(&mut |step| {
            let before = cpu();
            step();
            let took = cpu() - before;
            match least.get_mut(index) {
                Some(least) => *least = took.min(*least),
                None => least.push(took),
            }
            index += 1;
        });
    }
    least.into_iter().max().unwrap()
}

#[test]
fn no_step_holds_the_lock_long_with_100_000_tasks() {
    const TASKS: usize = 100_000;
    let longest = longest_step(|step| {
        // Without threads, so that only the steps take the lock.
        let pool = Arc::new(Pool::new(&WorkersConfig::default(), 2));
        let due = Instant::now();
        for _ in 0..TASKS {
            let task = task(|| ());
            step(&mut || {
                pool.schedule(due, task.clone());
            });
        }
        let mut more = true;
        while more {
            step(&mut || {
                let (mut brief, mut wakes) = (Vec::new(), Wakes::default());
                let mut state = pool.lock();
                more = pool.release_due(&mut state, Instant::now(), &mut brief, &mut wakes);
            });
        }
        assert_eq!(pool.lock().ready, TASKS);
        step(&mut || {
            pool.fill_limit(&mut pool.lock(), &mut Wakes::default());
        });
        for _ in 0..TASKS {
            let mut taken = None;
            step(&mut || taken = pool.take(&mut pool.lock(), &mut Wakes::default()));
            assert!(taken.is_some());
            pool.lock().busy = 0;
        }
    });
    assert!(longest < Duration::from_micros(100), "{longest:?}");
}
