//! One call on the side of the workers: its jobs, from the opening to the last message pushed.
//!
//! A call is a [`Task`]: whenever it has something to do it stands in the workers' queue, once,
//! however many of its producers are ready; so calls take turns and not producers. It knows the
//! channel it pushes into and nothing of sinks; what reads the channel is the [drain].
//!
//! [drain]: super::drain

use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::AtomicI32;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use grpcio::{RpcStatus, RpcStatusCode};

use super::channel::{Fill, Sender, TrySendError};
use super::ending::Ending;
use super::job::{Job, Jobs, Producer};
use super::meter::Tally;
use super::watch::CallWatch;
use super::workers::{Task, Timer, Workers};
use remains::{Dispose, Remains};

mod account;
mod remains;

/// Messages after which a producer lets others run, if any others wait.
const SLICE_MESSAGES: u32 = 64;

/// Time after which it does so even with fewer messages.
const SLICE_TIME: Duration = Duration::from_millis(1);

/// Turns a request, which it holds, into jobs. Runs on a worker thread and may block.
pub(super) type Open<T> = Box<dyn FnOnce(&CallWatch) -> Result<Jobs<T>, RpcStatus> + Send>;

/// The workers' half of a call; the drain holds it too, and ends it.
pub(super) struct Call<T> {
    workers: Workers,
    arrived: Instant,
    watch: CallWatch,
    ending: Ending,
    state: Mutex<State<T>>,
    fill: Fill<T>,
    tally: Tally,
    /// What it ended with; CANCELLED until then.
    code: AtomicI32,
}

struct State<T> {
    feed: Feed<T>,
    /// Producers that could run now.
    ready: VecDeque<Running<T>>,
    /// Producers that wait for room in the channel.
    parked: Vec<Running<T>>,
    /// Kept while more producers may come; each of them holds a clone. When all are dropped the
    /// channel ends, and so does the call.
    sender: Option<Sender<T>>,
    /// When the feed is due again.
    timer: Option<Timer>,
    /// The call stands in the workers' queue; it does so at most once.
    queued: bool,
}

/// Where the producers come from.
enum Feed<T> {
    Unopened(Open<T>),
    /// The next job is known and not yet handed out.
    Waiting {
        jobs: Jobs<T>,
        next: Job<T>,
        due: Instant,
    },
    /// A worker is opening it or taking jobs from it.
    WithWorker,
    Exhausted,
}

impl<T> Feed<T> {
    fn is_due(&self, now: Instant) -> bool {
        match self {
            Feed::Unopened(_) => true,
            Feed::Waiting { due, .. } => *due <= now,
            Feed::WithWorker | Feed::Exhausted => false,
        }
    }
}

/// A producer that was started.
struct Running<T> {
    producer: Box<dyn Producer<T>>,
    /// What it made and the channel had no room for.
    pending: Option<T>,
    sender: Sender<T>,
}

/// How a slice of a producer ended.
enum Slice {
    /// It has had its share.
    Used,
    /// The channel is full.
    Full,
    /// It has no more messages.
    Ended,
    /// The call is over or failing.
    Over,
    Failed(RpcStatus),
}

enum Work<T> {
    Feed(Feed<T>),
    Producer(Running<T>),
}

impl<T: Send + 'static> Call<T> {
    pub(super) fn new(workers: Workers, sender: Sender<T>, open: Open<T>) -> Arc<Call<T>> {
        Arc::new(Call {
            workers,
            arrived: Instant::now(),
            watch: CallWatch::default(),
            ending: Ending::default(),
            fill: sender.fill(),
            tally: Tally::default(),
            code: AtomicI32::new(RpcStatusCode::CANCELLED.into()),
            state: Mutex::new(State {
                feed: Feed::Unopened(open),
                ready: VecDeque::new(),
                parked: Vec::new(),
                sender: Some(sender),
                timer: None,
                queued: false,
            }),
        })
    }

    /// Puts the call before the workers for the first time.
    pub(super) fn start(self: &Arc<Self>) {
        self.queue(&mut self.lock());
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// What it ends with, and when it is told to.
    pub(super) fn ending(&self) -> &Ending {
        &self.ending
    }

    /// The call is over: no producer is called again, and what the call holds is freed now. Does
    /// not block: the producers are dropped by a worker, since dropping them is their own code.
    pub(super) fn end(&self) {
        if self.watch.end() {
            return;
        }
        let mut state = self.lock();
        let timer = state.timer.take();
        let feed = std::mem::replace(&mut state.feed, Feed::Exhausted);
        let remains = Remains {
            feed,
            ready: std::mem::take(&mut state.ready),
            parked: std::mem::take(&mut state.parked),
        };
        self.tally.parked(0, false);
        let sender = state.sender.take();
        drop(state);
        drop(sender);
        if let Some(timer) = timer {
            self.workers.cancel(timer);
        }
        if !remains.is_empty() {
            self.workers.submit(Dispose::of(remains));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of a producer runs under the lock, so a poisoned one is whole.
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn queue(self: &Arc<Self>, state: &mut State<T>) {
        if !state.queued {
            state.queued = true;
            self.workers.submit(self.clone());
        }
    }

    /// Queues the call if there is more for a worker to do.
    fn queue_if_ready(self: &Arc<Self>, state: &mut State<T>) {
        if !state.ready.is_empty() || state.feed.is_due(Instant::now()) {
            self.queue(state);
        }
    }

    fn take_work(self: &Arc<Self>) -> Option<Work<T>> {
        let mut state = self.lock();
        state.queued = false;
        if self.watch.is_over() {
            return None;
        }
        let work = if state.feed.is_due(Instant::now()) {
            state.timer = None;
            Work::Feed(std::mem::replace(&mut state.feed, Feed::WithWorker))
        } else {
            Work::Producer(state.ready.pop_front()?)
        };
        // What is left another worker may do at the same time.
        self.queue_if_ready(&mut state);
        Some(work)
    }

    /// Opens the feed if need be, and makes ready all producers that are due.
    fn hand_out(self: &Arc<Self>, feed: Feed<T>) {
        let (mut jobs, mut next) = match feed {
            Feed::Unopened(open) => match open(&self.watch) {
                Ok(mut jobs) => {
                    let first = jobs.next();
                    (jobs, first)
                }
                Err(status) => return self.fail_opening(status),
            },
            Feed::Waiting { jobs, next, .. } => (jobs, Some(next)),
            Feed::WithWorker | Feed::Exhausted => return,
        };
        let now = Instant::now();
        loop {
            let mut state = self.lock();
            // The call may have ended meanwhile: then nothing is put back.
            let Some(sender) = &state.sender else { return };
            let Some(job) = next else {
                state.feed = Feed::Exhausted;
                // Dropped after the lock: it may be the last one, and wakes the drain then.
                let last = state.sender.take();
                drop(state);
                drop(last);
                return;
            };
            let due = self.due(job.delay);
            if due > now {
                state.timer = Some(self.workers.submit_at(due, self.clone()));
                if state.ready.is_empty() {
                    // A call that mostly waits should hold little meanwhile.
                    state.ready = VecDeque::new();
                }
                state.feed = Feed::Waiting {
                    jobs,
                    next: job,
                    due,
                };
                return;
            }
            let running = Running {
                producer: job.producer,
                pending: None,
                sender: sender.clone(),
            };
            state.ready.push_back(running);
            // This worker goes on with one of them; with more, another one helps.
            if state.ready.len() > 1 {
                self.queue(&mut state);
            }
            drop(state);
            next = jobs.next();
        }
    }

    /// When a job is due; one beyond what `Instant` can tell is due in a hundred years.
    fn due(&self, delay: Duration) -> Instant {
        const FAR_AWAY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        self.arrived
            .checked_add(delay.min(FAR_AWAY))
            .unwrap_or(self.arrived)
    }

    fn run_producer(self: &Arc<Self>, mut running: Running<T>) {
        let slice = catch_unwind(AssertUnwindSafe(|| self.produce(&mut running)))
            .unwrap_or_else(|_| Slice::Failed(panicked()));
        match slice {
            Slice::Used => self.make_ready(running),
            Slice::Full => self.park(running),
            Slice::Failed(status) => self.fail(status, &running.sender),
            Slice::Ended | Slice::Over => {}
        }
    }

    fn make_ready(&self, running: Running<T>) {
        let mut state = self.lock();
        if self.watch.is_over() {
            // Its producer is dropped after the lock: that is code of its own.
            drop(state);
            drop(running);
        } else {
            state.ready.push_back(running);
        }
    }

    fn produce(&self, running: &mut Running<T>) -> Slice {
        let began = Instant::now();
        let mut sent = 0;
        loop {
            let message = match running.pending.take() {
                Some(message) => message,
                None if running.sender.is_closed() => return Slice::Over,
                None => match running.producer.next() {
                    Some(Ok(message)) => message,
                    Some(Err(status)) => return Slice::Failed(status),
                    None => return Slice::Ended,
                },
            };
            match running.sender.try_send(message) {
                Ok(()) => sent += 1,
                Err(TrySendError::Closed(_)) => return Slice::Over,
                Err(TrySendError::Full(message)) => {
                    running.pending = Some(message);
                    return Slice::Full;
                }
            }
            // Asked only while somebody waits: a clock is dearer than a message.
            if self.workers.is_contended()
                && (sent >= SLICE_MESSAGES || began.elapsed() >= SLICE_TIME)
            {
                return Slice::Used;
            }
        }
    }

    /// Puts a producer aside until the channel is down to its low-water mark.
    fn park(self: &Arc<Self>, mut running: Running<T>) {
        let waker = Waker::from(self.clone());
        // Registered under the lock, so that the wake-up cannot come before the producer is in
        // its place.
        let mut state = self.lock();
        if let Some(message) = running.pending.take() {
            match running.sender.send_or_wake(message, &waker) {
                Err(TrySendError::Full(message)) if !self.watch.is_over() => {
                    running.pending = Some(message);
                    state.parked.push(running);
                    self.tally.parked(state.parked.len(), true);
                    return;
                }
                Ok(()) | Err(_) => {}
            }
        }
        drop(state);
        // Room came meanwhile, or the end did; the next slice will see.
        self.make_ready(running);
    }

    /// Ends the call with `status`, after what was pushed before.
    fn fail(&self, status: RpcStatus, sender: &Sender<T>) {
        self.ending.fail(status);
        sender.close();
    }

    /// As [`Call::fail`], while there is a sender still to come.
    fn fail_opening(&self, status: RpcStatus) {
        let sender = self.lock().sender.take();
        if let Some(sender) = sender {
            self.fail(status, &sender);
        }
    }
}

impl<T: Send + 'static> Task for Call<T> {
    fn run(self: Arc<Self>) {
        // After the feed comes a producer, in the same turn: most calls have one job, due now.
        while let Some(work) = self.take_work() {
            match work {
                Work::Feed(feed) => {
                    let handed = catch_unwind(AssertUnwindSafe(|| self.hand_out(feed)));
                    if handed.is_err() {
                        self.fail_opening(panicked());
                    }
                }
                Work::Producer(running) => {
                    self.run_producer(running);
                    break;
                }
            }
        }
        if !self.watch.is_over() {
            self.queue_if_ready(&mut self.lock());
        }
    }
}

impl<T: Send + 'static> Wake for Call<T> {
    /// The channel has room again (or will never have).
    fn wake(self: Arc<Self>) {
        let mut state = self.lock();
        let parked = std::mem::take(&mut state.parked);
        self.tally.parked(0, false);
        state.ready.extend(parked);
        self.queue_if_ready(&mut state);
    }
}

/// What a client is told of a panic; what it said is in the server's log, by the panic hook.
fn panicked() -> RpcStatus {
    RpcStatus::with_message(RpcStatusCode::INTERNAL, "the producer panicked".into())
}
