//! The parts of a call: producers, and the time at which each is due. Data only; nothing runs here.

use std::fmt;
use std::iter::Once;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpcio::RpcStatus;

use super::adapters;
use super::heartbeat::{Heartbeat, MakeBeat};
use super::ordered::Order;
use super::push::{PushFn, StreamSender};
use super::schedule::{AtDelays, FromIterator, MapBodies, Schedule};

/// An item of a producer: the next message, or the status that ends the call instead.
///
/// An `Err` with the code OK ends the call with INTERNAL: a failure cannot be OK.
pub type Produced<T> = Result<T, RpcStatus>;

/// Makes messages, in order; may block in `next`. Any such iterator is one.
///
/// It runs on a worker thread, on one at a time but not always on the same. It is called only when
/// its call's channel has room for the message, except for the first message in an
/// [ordered](Jobs::ordered) call. It is not called again once its call is over, and is
/// dropped on a worker thread too.
pub trait Producer<T>: Iterator<Item = Produced<T>> + Send + 'static {}

impl<T, P: Iterator<Item = Produced<T>> + Send + 'static> Producer<T> for P {}

/// What a job runs when it is due.
pub(super) enum Body<T> {
    /// Asked for one message after the other.
    Pull(Box<dyn Producer<T>>),
    /// Called once; it sends by itself.
    Push(PushFn<T>),
}

/// A producer and its delay from the arrival of the request. Waiting takes no thread.
pub struct Job<T> {
    pub(super) delay: Duration,
    pub(super) body: Body<T>,
}

impl<T> Job<T> {
    /// Due at once.
    pub fn now(producer: impl Producer<T>) -> Job<T> {
        Job::after(Duration::ZERO, producer)
    }

    /// Due `delay` after the request came.
    pub fn after(delay: Duration, producer: impl Producer<T>) -> Job<T> {
        Job {
            delay,
            body: Body::Pull(Box::new(producer)),
        }
    }

    /// A job that sends its messages instead of being asked for them, due at once: for callbacks, and for loops that
    /// are awkward as an iterator.
    ///
    /// `push` is called once, on a worker thread, and may block. The job lasts until it has returned and the last clone
    /// of its [`StreamSender`] is dropped, which may be in a thread or a callback of yours. An error that it returns,
    /// as one given to [`StreamSender::fail`], ends the call; a panic ends it with INTERNAL. Like every job it starts
    /// only when the channel has room, and is one of at most 256 that have started and not ended.
    ///
    /// A sender blocks its thread while the reader is slow. So a thousand push jobs with slow readers need a thousand
    /// threads, which the limit of the [`Workers`](crate::engine::Workers) may not allow; an iterator in [`Job::now`]
    /// needs none while it waits for room.
    ///
    /// ```
    /// use fanstream::engine::{Job, StreamSender};
    /// use grpcio::{RpcStatus, RpcStatusCode};
    ///
    /// fn visit(each: &mut dyn FnMut(u64) -> bool) { // someone else's
    ///     (0..3).all(each);
    /// }
    ///
    /// let job: Job<u64> = Job::push(|sender: StreamSender<u64>| {
    ///     // An error means that the client has gone: stop, and let the call end.
    ///     visit(&mut |n| sender.send(n).is_ok());
    ///     Ok(())
    /// });
    /// # drop(job);
    /// ```
    pub fn push(
        push: impl FnOnce(StreamSender<T>) -> Result<(), RpcStatus> + Send + 'static,
    ) -> Job<T> {
        Job::push_after(Duration::ZERO, push)
    }

    /// As [`Job::push`], due `delay` after the request came.
    pub fn push_after(
        delay: Duration,
        push: impl FnOnce(StreamSender<T>) -> Result<(), RpcStatus> + Send + 'static,
    ) -> Job<T> {
        Job {
            delay,
            body: Body::Push(Box::new(push)),
        }
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("delay", &self.delay)
            .finish_non_exhaustive()
    }
}

/// The jobs of one call, in the order in which they are due.
///
/// A call starts a job when it is due, when its channel has room, and when fewer than 256 of its
/// producers have been started and not ended. Until then the job waits, and all jobs behind it. Their
/// messages are delivered as they come, unless the jobs are [ordered](Jobs::ordered).
pub struct Jobs<T> {
    schedule: Box<dyn Schedule<T>>,
    extras: Option<Box<Extras<T>>>,
}

/// What only some calls need; the others pay for one pointer.
pub(super) struct Extras<T> {
    /// There in an ordered call.
    pub(super) order: Option<Order<T>>,
    /// There in a call with a heartbeat.
    pub(super) heartbeat: Option<Heartbeat<T>>,
}

impl<T> Default for Extras<T> {
    fn default() -> Extras<T> {
        Extras {
            order: None,
            heartbeat: None,
        }
    }
}

impl<T> Extras<T> {
    /// True when they hold user code that is to be dropped once the call is over.
    pub(super) fn holds_code(&self) -> bool {
        self.heartbeat.is_some() || self.order.as_ref().is_some_and(|order| order.waiting() > 0)
    }
}

impl<T: 'static> Jobs<T> {
    /// Jobs from an iterator, one at a time. It may block: it is called on a worker thread, beside
    /// the producers of earlier jobs, and is one job ahead of them. It must yield rising delays: a
    /// job that is due earlier than the one before it is late.
    pub fn lazy(jobs: impl Iterator<Item = Job<T>> + Send + 'static) -> Jobs<T> {
        Jobs::new(FromIterator {
            jobs,
            next: None,
            is_prompt: false,
        })
    }

    /// One job for each of `delays`, with a producer that `make` makes when the job starts. So a call
    /// that mostly waits holds no producer. `delays` must rise and must not block; `make` is given
    /// the job's number, from 0, and runs on a worker thread.
    pub fn at<P: Producer<T>>(
        delays: impl Iterator<Item = Duration> + Send + 'static,
        make: impl FnMut(u64) -> P + Send + 'static,
    ) -> Jobs<T> {
        Jobs::new(AtDelays {
            delays,
            make,
            number: 0,
        })
    }

    fn prompt(jobs: impl Iterator<Item = Job<T>> + Send + 'static) -> Jobs<T> {
        Jobs::new(FromIterator {
            jobs,
            next: None,
            is_prompt: true,
        })
    }

    /// The same jobs, their messages delivered in the order of the jobs: all of the first, then all of the second, and
    /// so on. That is the order in which they start; of jobs that are due at the same time, the order in which they
    /// were given.
    ///
    /// The producers still run in parallel. One that is not first in line makes one message ahead, which it holds, and
    /// waits for its turn without a thread. So an ordered call holds up to 255 messages beside its channel, whose
    /// limits do not count them. A failure waits for its turn like a message: the messages of all earlier jobs arrive
    /// before. The function of a [push job](Job::push) is not called before its turn, since it could only wait, and
    /// would hold a worker meanwhile.
    ///
    /// ```
    /// use fanstream::engine::{Job, Jobs, Produced};
    ///
    /// fn chunk(number: u64) -> Produced<Vec<u8>> { // reads it, which takes a while
    ///     Ok(vec![number as u8; 1000])
    /// }
    ///
    /// // A thousand chunks, many of them read at the same time, and sent in their order.
    /// let jobs: Jobs<Vec<u8>> = Jobs::lazy(
    ///     (0..1000).map(|number| Job::now(std::iter::once_with(move || chunk(number)))),
    /// )
    /// .ordered();
    /// # drop(jobs);
    /// ```
    pub fn ordered(mut self) -> Jobs<T> {
        self.extras().order = Some(Order::default());
        self
    }

    /// The same jobs; a failure of one ends that producer only, and `on_failure` is told its status. The call goes on
    /// and ends with OK. A panic of a producer still ends the call with INTERNAL.
    ///
    /// `on_failure` runs on the thread that fails: a worker, or the one that calls [`StreamSender::fail`], which
    /// refuses the messages of its job from then on. It runs once at a time and may block, but then other failures of
    /// the call wait for it. It is dropped on a worker.
    pub fn tolerate_failures(self, on_failure: impl FnMut(RpcStatus) + Send + 'static) -> Jobs<T>
    where
        T: Send,
    {
        let on_failure: adapters::OnFailure = Arc::new(Mutex::new(on_failure));
        self.map_bodies(
            move |body| adapters::tolerate(body, on_failure.clone()),
            |make| make,
        )
    }

    /// The same jobs, and a message of `make` whenever no other was sent for `interval`, from the arrival of the
    /// request to the end of the last producer. For streams that are quiet for long: proxies end a stream on which no
    /// message was sent for a time, and HTTP/2 pings do not count for that.
    ///
    /// Messages cost nothing more: the call checks its counters every half interval. So the first beat comes when the
    /// call is an interval old, and a later one after 1 to 1.5 intervals without a message; none comes while messages
    /// wait in the channel for a slow reader. An interval of less than 10 ms is taken for 10 ms. The last heartbeat
    /// given counts.
    ///
    /// `make` runs on a worker and may block; a call with a blocked `make` has no other beat. It is dropped on a worker
    /// when the call is over. A panic in it ends the call with INTERNAL. In an [ordered](Jobs::ordered) call a beat may
    /// come between any two messages.
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanstream::engine::{Job, Jobs};
    ///
    /// let late = Job::after(Duration::from_secs(3600), std::iter::once(Ok("news")));
    /// let jobs = Jobs::from(late).with_heartbeat(Duration::from_secs(15), || "nothing yet");
    /// # drop(jobs);
    /// ```
    pub fn with_heartbeat(
        mut self,
        interval: Duration,
        mut make: impl FnMut() -> T + Send + 'static,
    ) -> Jobs<T> {
        let make = Box::new(move || Ok(make()));
        self.extras().heartbeat = Some(Heartbeat::new(interval, make));
        self
    }

    fn new(schedule: impl Schedule<T> + 'static) -> Jobs<T> {
        Jobs {
            schedule: Box::new(schedule),
            extras: None,
        }
    }

    fn extras(&mut self) -> &mut Extras<T> {
        self.extras.get_or_insert_default()
    }

    pub(super) fn take_extras(&mut self) -> Option<Box<Extras<T>>> {
        self.extras.take()
    }

    /// The delay of the next job; `None` after the last one. May block unless [`Jobs::is_prompt`].
    pub(super) fn next_delay(&mut self) -> Option<Duration> {
        self.schedule.next_delay()
    }

    /// The body of the job whose delay came last. May block.
    pub(super) fn start(&mut self) -> Option<Body<T>> {
        self.schedule.start()
    }

    /// True when [`Jobs::next_delay`] never blocks.
    pub(super) fn is_prompt(&self) -> bool {
        self.schedule.is_prompt()
    }

    /// The same jobs with other bodies, and their heartbeat with another function.
    pub(super) fn map_bodies<U: 'static>(
        self,
        map: impl FnMut(Body<T>) -> Body<U> + Send + 'static,
        map_beat: impl FnOnce(MakeBeat<T>) -> MakeBeat<U>,
    ) -> Jobs<U> {
        let inner = self.schedule;
        let mut jobs = Jobs::new(MapBodies { inner, map });
        if let Some(extras) = self.extras {
            jobs.extras = Some(Box::new(Extras {
                order: extras.order.map(|_| Order::default()),
                heartbeat: extras.heartbeat.and_then(|beat| beat.map(map_beat)),
            }));
        }
        jobs
    }
}

impl<T: 'static> From<Job<T>> for Jobs<T> {
    fn from(job: Job<T>) -> Jobs<T> {
        let once: Once<Job<T>> = std::iter::once(job);
        Jobs::prompt(once)
    }
}

impl<T: 'static> From<Vec<Job<T>>> for Jobs<T> {
    /// In any order; jobs with the same delay start in the order that they have here.
    fn from(mut jobs: Vec<Job<T>>) -> Jobs<T> {
        jobs.sort_by_key(|job| job.delay);
        Jobs::prompt(jobs.into_iter())
    }
}

impl<T> fmt::Debug for Jobs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jobs(..)")
    }
}
