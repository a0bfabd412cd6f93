//! Observations of one call from the inside: by its producers, its messages and the server's
//! observer. It reports forbidden events at once; the oracle judges the end of the call later.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use grpcio::RpcStatusCode;

use super::adapter::CallContext;
use super::scenario::CallPlan;

/// The longest time until a message reaches its client, even on a busy machine.
const DELIVERED: Duration = Duration::from_secs(5);

/// A count of live objects, and its maximum.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    /// Returns the count before.
    pub fn add(&self, n: usize) -> usize {
        let before = self.now.fetch_add(n, SeqCst);
        self.most.fetch_max(before + n, SeqCst);
        before
    }

    /// Returns the count after.
    pub fn sub(&self, n: usize) -> usize {
        self.now.fetch_sub(n, SeqCst) - n
    }

    pub fn now(&self) -> usize {
        self.now.load(SeqCst)
    }

    pub fn most(&self) -> usize {
        self.most.load(SeqCst)
    }
}

/// State shared by the calls of one server.
#[derive(Debug, Default)]
pub struct Common {
    poll_threads: Mutex<Vec<ThreadId>>,
    /// Calls whose `open` or producers are running.
    pub busy: Gauge,
}

impl Common {
    /// Records this thread as a poll thread of the server.
    pub fn note_poll_thread(&self) {
        let mut known = lock(&self.poll_threads);
        let own = thread::current().id();
        if !known.contains(&own) {
            known.push(own);
        }
    }

    fn is_poll_thread(&self) -> bool {
        lock(&self.poll_threads).contains(&thread::current().id())
    }
}

/// Observations of one job.
#[derive(Debug, Default)]
pub struct JobProbe {
    /// Messages that its producer has returned, or is about to.
    pub made: AtomicU32,
    /// Its producer has returned `None`.
    pub ended: AtomicBool,
    /// Messages that its client has read.
    pub read: AtomicU32,
    /// Calls of the producer after the call was over.
    pub late: AtomicU32,
}

/// A failure that may end a call.
#[derive(Clone, Debug)]
pub struct Failure {
    pub at: Instant,
    /// The job whose producer failed; `None` for an opening or a feed.
    pub job: Option<usize>,
    /// `None` for a panic or a message that can't be sent, which are INTERNAL.
    pub status: Option<(RpcStatusCode, String)>,
}

/// The end of a call as the server's observer sees it.
#[derive(Clone, Copy, Debug)]
pub struct ServerEnd {
    pub code: RpcStatusCode,
    pub messages: u64,
    pub refused: bool,
}

#[derive(Debug, Default)]
struct Log {
    violations: Vec<String>,
    failures: Vec<Failure>,
    arrivals: u32,
    ends: Vec<ServerEnd>,
}

/// One call.
#[derive(Debug)]
pub struct Probe {
    pub id: u64,
    pub plan: CallPlan,
    /// Just before the client called.
    pub began: Instant,
    pub jobs: Vec<JobProbe>,
    pub opened: AtomicU32,
    /// Jobs that the feed has yielded, and whether it has ended.
    pub handed_out: AtomicU32,
    pub feed_ended: AtomicBool,
    /// A `Drop` has panicked.
    pub drop_panicked: AtomicBool,
    /// Openings, feeds and producers that were made and not dropped yet.
    pub held: Gauge,
    /// The same of messages on the side of the server, and of their bytes.
    pub messages: Gauge,
    pub bytes: Gauge,
    /// The same of messages on the side of the client.
    pub received: Gauge,
    context: OnceLock<CallContext>,
    /// Threads in code of the call's own. The call counts as busy while there are any: both change
    /// under this lock, or a call whose last thread leaves while another one enters counts twice.
    running: Mutex<usize>,
    common: Arc<Common>,
    log: Mutex<Log>,
}

static PROBES: LazyLock<Mutex<HashMap<u64, Arc<Probe>>>> = LazyLock::new(Mutex::default);
static LAST_ID: AtomicUsize = AtomicUsize::new(0);

impl Probe {
    /// For a call that begins now. It is found by its id until [`Probe::forget`].
    pub fn new(plan: CallPlan, common: Arc<Common>) -> Arc<Probe> {
        let jobs = plan.jobs.iter().map(|_| JobProbe::default()).collect();
        let probe = Arc::new(Probe {
            id: LAST_ID.fetch_add(1, SeqCst) as u64 + 1,
            plan,
            began: Instant::now(),
            jobs,
            opened: AtomicU32::new(0),
            handed_out: AtomicU32::new(0),
            feed_ended: AtomicBool::new(false),
            drop_panicked: AtomicBool::new(false),
            held: Gauge::default(),
            messages: Gauge::default(),
            bytes: Gauge::default(),
            received: Gauge::default(),
            context: OnceLock::new(),
            running: Mutex::new(0),
            common,
            log: Mutex::default(),
        });
        lock(&PROBES).insert(probe.id, probe.clone());
        probe
    }

    pub fn find(id: u64) -> Option<Arc<Probe>> {
        lock(&PROBES).get(&id).cloned()
    }

    pub fn forget(&self) {
        lock(&PROBES).remove(&self.id);
    }

    /// Blocks until its client has read so much, or the call is over.
    pub fn wait_until(&self, what: &str, read: impl Fn() -> bool) {
        let began = Instant::now();
        while !read() && !self.is_over() {
            if began.elapsed() > DELIVERED {
                self.object(format!("not delivered within {DELIVERED:?}: {what}"));
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn object(&self, what: impl Into<String>) {
        lock(&self.log).violations.push(what.into());
    }

    pub fn violations(&self) -> Vec<String> {
        lock(&self.log).violations.clone()
    }

    pub fn fail(&self, job: Option<usize>, status: Option<(RpcStatusCode, String)>) {
        let at = Instant::now();
        lock(&self.log).failures.push(Failure { at, job, status });
    }

    pub fn failures(&self) -> Vec<Failure> {
        lock(&self.log).failures.clone()
    }

    pub fn arrived(&self) {
        lock(&self.log).arrivals += 1;
    }

    pub fn ended(&self, end: ServerEnd) {
        lock(&self.log).ends.push(end);
    }

    /// The number of arrivals that the server's observer saw, and the ends.
    pub fn observed(&self) -> (u32, Vec<ServerEnd>) {
        let log = lock(&self.log);
        (log.arrivals, log.ends.clone())
    }

    pub fn is_opened_with(&self, context: &CallContext) {
        if self.opened.fetch_add(1, SeqCst) > 0 {
            self.object("opened twice");
        }
        let _ = self.context.set(context.clone());
    }

    /// Whether the engine reports the call as over to its producers.
    pub fn is_over(&self) -> bool {
        self.context.get().is_some_and(CallContext::is_over)
    }

    /// A producer is called.
    pub fn note_call(&self, job: usize) {
        if self.is_over() {
            self.jobs[job].late.fetch_add(1, SeqCst);
        }
    }

    /// Marks user code of the call until the guard is dropped. It may block, so it must not run on
    /// a poll thread.
    pub fn enter(&self, what: &str) -> Inside<'_> {
        self.check_thread(what);
        let mut running = lock(&self.running);
        if *running == 0 {
            self.common.busy.add(1);
        }
        *running += 1;
        drop(running);
        Inside(self)
    }

    pub fn check_thread(&self, what: &str) {
        // The opening of a refused call holds no more than its handler had, on the same thread.
        if self.common.is_poll_thread() && what != OPENING {
            self.object(format!("{what} runs on a poll thread"));
        }
    }
}

pub struct Inside<'a>(&'a Probe);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut running = lock(&self.0.running);
        *running -= 1;
        if *running == 0 {
            self.0.common.busy.sub(1);
        }
    }
}

/// An opening that is dropped, called or not.
pub const OPENING: &str = "the drop of an opening";

/// Part of an opening, a feed or a producer that counts its drop.
#[derive(Debug)]
pub struct Held {
    pub probe: Arc<Probe>,
    what: &'static str,
}

impl Held {
    pub fn new(probe: &Arc<Probe>, what: &'static str) -> Held {
        probe.held.add(1);
        Held {
            probe: probe.clone(),
            what,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.probe.check_thread(self.what);
        self.probe.held.sub(1);
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
