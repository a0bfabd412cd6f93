//! The jobs of a call: producers, and the delay of each. Data only; nothing runs here.

use std::fmt;
use std::iter::Once;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use super::adapters;
use super::body::{Body, Producer};
use super::heartbeat::{Heartbeat, MakeMessage};
use super::order::Order;
use super::polled::{Next, Polled};
use super::schedule::{AtDelays, FromIterator, MapBodies, Schedule};
use super::strand::Waiting;
use super::stream_sender::StreamSender;
use crate::Status;

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

    /// A job that waits without a thread, due at once: for a file that grows, a table to look into
    /// every second, an event. `poll` is asked for each message and answers with a [`Next`]: a
    /// message, that it has none yet and when to ask again, or that it has no more. An error ends the
    /// call, as an error of an iterator does.
    ///
    /// `poll` runs as the `next` of a [`Producer`] does: on one worker thread at a time, where it may
    /// block, and only when the channel has a free slot. A worker drops it as soon as the call is
    /// over. The messages that it made before a wait are sent without waiting.
    ///
    /// Its argument ends a wait early. Clone it for other threads and callbacks: after each
    /// [`Waker::wake`], which never blocks, the call asks again. A wake-up during `poll` ends the
    /// next wait at once, several are one, and one after the end has no effect. So store the waker
    /// *before* you look for an event. `poll` may also be asked without a wake-up.
    ///
    /// When the server starts to drain, a `poll` that waits is asked again. If it could wait for
    /// ever, it should then look at
    /// [`CallContext::is_draining`](crate::engine::CallContext::is_draining) and end. Otherwise the
    /// end of the grace period ends its call with UNAVAILABLE.
    ///
    /// ```
    /// use std::io::BufRead;
    /// use std::time::Duration;
    /// use fanstream::engine::{CallContext, Job, Next};
    ///
    /// /// The lines of a file, also those that are added later.
    /// fn follow(call: &CallContext, mut file: impl BufRead + Send + 'static) -> Job<String> {
    ///     let call = call.clone();
    ///     let mut line = String::new();
    ///     Job::poll(move |_waker| {
    ///         file.read_line(&mut line)?;
    ///         if line.ends_with('\n') {
    ///             return Ok(Next::Message(std::mem::take(&mut line)));
    ///         }
    ///         if call.is_draining() {
    ///             return Ok(Next::End);
    ///         }
    ///         Ok(Next::Later(Duration::from_millis(200)))
    ///     })
    /// }
    /// # drop(follow(&CallContext::default(), &b""[..]));
    /// ```
    pub fn poll(poll: impl FnMut(&Waker) -> Result<Next<T>, Status> + Send + 'static) -> Job<T> {
        Job {
            delay: Duration::ZERO,
            body: Body::Poll(Polled::new(Box::new(poll))),
        }
    }

    /// A job that sends its messages through a [`StreamSender`], due at once: for callbacks, and
    /// for loops that are awkward as an iterator.
    ///
    /// `push` is called once, on a worker thread, and may block. The job ends when `push` has
    /// returned and the last clone of its [`StreamSender`] is dropped, in any thread or callback.
    /// An error that `push` returns ends the call, as [`StreamSender::fail`] does; a panic ends it
    /// with INTERNAL. Like every job it starts only when the channel has a free slot, and counts
    /// among the at most 256 jobs that have started and not ended.
    ///
    /// A sender blocks its thread while the reader is slow. So a thousand push jobs with slow
    /// readers need a thousand threads, more than the [`Workers`](crate::engine::Workers) have by
    /// default. An iterator in [`Job::now`] needs no thread while it waits for a free slot.
    ///
    /// ```
    /// use fanstream::engine::{Job, StreamSender};
    ///
    /// fn visit(each: &mut dyn FnMut(u64) -> bool) { // someone else's
    ///     (0..3).all(each);
    /// }
    ///
    /// let job: Job<u64> = Job::push(|sender: StreamSender<u64>| {
    ///     // An error means that the client is lost: stop, and let the call end.
    ///     visit(&mut |n| sender.send(n).is_ok());
    ///     Ok(())
    /// });
    /// # drop(job);
    /// ```
    pub fn push(
        push: impl FnOnce(StreamSender<T>) -> Result<(), Status> + Send + 'static,
    ) -> Job<T> {
        Job::push_after(Duration::ZERO, push)
    }

    /// As [`Job::push`], due `delay` after the request came.
    pub fn push_after(
        delay: Duration,
        push: impl FnOnce(StreamSender<T>) -> Result<(), Status> + Send + 'static,
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

/// The jobs of one call, in the order of their due times.
///
/// A call starts a job when it is due, the channel has a free slot, and fewer than 256 of its
/// producers have started and not ended. Until then this job and all later ones wait. Messages are
/// delivered as they are made, unless the jobs are [ordered](Jobs::ordered).
pub struct Jobs<T> {
    schedule: Box<dyn Schedule<T>>,
    extras: Option<Box<Extras<T>>>,
}

/// Optional parts of a call. A call without them pays for one pointer.
pub(super) struct Extras<T> {
    /// `Some` in an ordered call.
    pub(super) order: Option<Order<T>>,
    /// `Some` in a call with a heartbeat.
    pub(super) heartbeat: Option<Heartbeat<T>>,
    /// Strands that wait for a time or a wake-up. At most some hundred, so they are searched one by
    /// one.
    pub(super) waiting: Vec<Waiting<T>>,
}

impl<T> Default for Extras<T> {
    fn default() -> Extras<T> {
        Extras {
            order: None,
            heartbeat: None,
            waiting: Vec::new(),
        }
    }
}

impl<T> Extras<T> {
    /// True if they hold user code to drop when the call is over.
    pub(super) fn holds_code(&self) -> bool {
        self.heartbeat.is_some()
            || !self.waiting.is_empty()
            || self.order.as_ref().is_some_and(|order| order.waiting() > 0)
    }
}

impl<T: 'static> Jobs<T> {
    /// Jobs from an iterator, which may block. A worker thread calls it, one job ahead, while
    /// producers of earlier jobs run. Delays must not fall: a job that is due before its
    /// predecessor starts late.
    pub fn lazy(jobs: impl Iterator<Item = Job<T>> + Send + 'static) -> Jobs<T> {
        Jobs::from_iterator(jobs, false)
    }

    /// One job for each of `delays`. `make` makes the producer when the job starts, so a call that
    /// mostly waits holds no producer. `delays` must not fall and must not block. `make` takes the
    /// job's number, from 0, and runs on a worker thread.
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

    fn from_iterator(
        jobs: impl Iterator<Item = Job<T>> + Send + 'static,
        is_prompt: bool,
    ) -> Jobs<T> {
        Jobs::new(FromIterator {
            jobs: jobs.map(|job| (job.delay, job.body)),
            next: None,
            is_prompt,
        })
    }

    /// Delivers the messages in the order of the jobs: all of the first job, then all of the
    /// second, and so on. Jobs are ordered by due time; jobs with the same due time, as given.
    ///
    /// The producers still run in parallel. A producer that is not first makes one message ahead,
    /// holds it, and waits for its turn without a thread. So an ordered call holds up to 255
    /// messages outside its channel, whose capacity does not count them. A failure waits for its
    /// turn too: the messages of all earlier jobs arrive first. The function of a [push
    /// job](Job::push) is called only in its turn, since earlier it would only block a worker.
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

    /// Makes a failure end only its producer. `on_failure` receives the status; the call continues
    /// and ends with OK. A panic of a producer still ends the call with INTERNAL.
    ///
    /// `on_failure` runs on the thread of the failure: a worker, or the caller of
    /// [`StreamSender::fail`], which refuses further messages of its job. It runs once at a time
    /// and may block; other failures of the call then wait. A worker drops it.
    pub fn tolerate_failures(self, on_failure: impl FnMut(Status) + Send + 'static) -> Jobs<T>
    where
        T: Send,
    {
        let on_failure: adapters::OnFailure = Arc::new(Mutex::new(on_failure));
        self.map_bodies(
            move |body| adapters::tolerate(body, on_failure.clone()),
            |make| make,
        )
    }

    /// Sends a message made by `make` whenever no other was sent for `interval`, from the arrival
    /// of the request to the end of the last producer. For streams with long pauses: proxies end a
    /// stream without messages, and HTTP/2 pings do not prevent that.
    ///
    /// The call checks its counters every half interval, so other messages cost nothing more. The
    /// first heartbeat comes when the call is one interval old, a later one after 1 to 1.5
    /// intervals without a message. While messages wait in the channel for a slow reader, no
    /// heartbeat is sent. The minimum interval is 10 ms. A second call replaces the first.
    ///
    /// `make` runs on a worker and may block; until it returns, the call sends no other heartbeat.
    /// A worker drops it when the call is over. A panic in it ends the call with INTERNAL. In an
    /// [ordered](Jobs::ordered) call a heartbeat may come between any two messages.
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

    /// The delay of the next job; `None` after the last. May block unless [`Jobs::is_prompt`].
    pub(super) fn next_delay(&mut self) -> Option<Duration> {
        self.schedule.next_delay()
    }

    /// The body of the job whose delay was returned last. May block.
    pub(super) fn start(&mut self) -> Option<Body<T>> {
        self.schedule.start()
    }

    /// True when [`Jobs::next_delay`] never blocks.
    pub(super) fn is_prompt(&self) -> bool {
        self.schedule.is_prompt()
    }

    /// Converts the bodies and the heartbeat of the jobs.
    pub(super) fn map_bodies<U: 'static>(
        self,
        map: impl FnMut(Body<T>) -> Body<U> + Send + 'static,
        map_heartbeat: impl FnOnce(MakeMessage<T>) -> MakeMessage<U>,
    ) -> Jobs<U> {
        let inner = self.schedule;
        let mut jobs = Jobs::new(MapBodies { inner, map });
        if let Some(extras) = self.extras {
            jobs.extras = Some(Box::new(Extras {
                order: extras.order.map(|_| Order::default()),
                heartbeat: extras
                    .heartbeat
                    .and_then(|heartbeat| heartbeat.map(map_heartbeat)),
                ..Extras::default()
            }));
        }
        jobs
    }
}

impl<T: 'static> From<Job<T>> for Jobs<T> {
    fn from(job: Job<T>) -> Jobs<T> {
        let once: Once<Job<T>> = std::iter::once(job);
        Jobs::from_iterator(once, true)
    }
}

impl<T: 'static> From<Vec<Job<T>>> for Jobs<T> {
    /// Sorts the jobs by delay; jobs with the same delay keep their order.
    fn from(mut jobs: Vec<Job<T>>) -> Jobs<T> {
        jobs.sort_by_key(|job| job.delay);
        Jobs::from_iterator(jobs.into_iter(), true)
    }
}

impl<T> fmt::Debug for Jobs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jobs(..)")
    }
}
