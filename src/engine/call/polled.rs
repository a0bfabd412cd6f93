//! A polled producer: a function that is asked for a message and may answer that it has none yet. Its
//! waker finds its call; nothing runs here.
//!
//! No wake-up is lost. The waker sets the flag, then takes the lock of the call and looks for the
//! producer. The worker that ends a turn checks the flag under that lock, and then lets the producer
//! wait. The flag is cleared before each question, so the question sees what came before the wake-up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::super::workers::MAX_DELAY;
use crate::Status;

/// The answer of a [polled](crate::engine::Job::poll) producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// A message. The producer is asked again when the channel has a free slot.
    Message(T),
    /// Nothing yet: ask again after this time, or earlier if woken. Zero lets other calls run first.
    Later(Duration),
    /// Nothing yet: ask again at this time, or earlier if woken.
    At(Instant),
    /// Nothing yet: ask again when woken.
    WhenWoken,
    /// No more messages. The producer is not asked again.
    End,
}

impl<T> Next<T> {
    /// Converts a message; a failure of `convert` is a failure of the producer.
    pub(super) fn try_map<U>(
        self,
        convert: impl FnOnce(T) -> Result<U, Status>,
    ) -> Result<Next<U>, Status> {
        Ok(match self {
            Next::Message(message) => Next::Message(convert(message)?),
            Next::Later(delay) => Next::Later(delay),
            Next::At(time) => Next::At(time),
            Next::WhenWoken => Next::WhenWoken,
            Next::End => Next::End,
        })
    }
}

/// The time `delay` from now; a hundred years for one that `Instant` cannot represent.
pub(super) fn after(delay: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(delay.min(MAX_DELAY)).unwrap_or(now)
}

/// The function of a polled producer.
pub(super) type PollFn<T> = Box<dyn FnMut(&Waker) -> Result<Next<T>, Status> + Send>;

pub(super) struct Polled<T> {
    poll: PollFn<T>,
    /// `None` before its first turn.
    alarm: Option<Arc<Alarm>>,
}

impl<T> Polled<T> {
    pub(super) fn new(poll: PollFn<T>) -> Polled<T> {
        Polled { poll, alarm: None }
    }

    /// Converts the function, before its first turn.
    pub(super) fn map<U>(self, map: impl FnOnce(PollFn<T>) -> PollFn<U>) -> Polled<U> {
        Polled::new(map(self.poll))
    }

    /// Connects the waker to its call.
    pub(super) fn connect(&mut self, call: impl FnOnce() -> Weak<dyn Wakeable>) {
        self.alarm.get_or_insert_with(|| {
            Arc::new(Alarm {
                is_set: AtomicBool::new(false),
                call: call(),
            })
        });
    }

    /// The waker to pass to [`Polled::ask`].
    pub(super) fn waker(&self) -> Waker {
        let alarm = self.alarm.clone();
        alarm.map_or_else(|| Waker::noop().clone(), Waker::from)
    }

    /// Asks for the next message. May block.
    pub(super) fn ask(&mut self, waker: &Waker) -> Result<Next<T>, Status> {
        if let Some(alarm) = &self.alarm {
            alarm.clear();
        }
        (self.poll)(waker)
    }

    /// Whether it was woken since it was asked last.
    pub(super) fn is_woken(&self) -> bool {
        let alarm = self.alarm.as_ref();
        alarm.is_some_and(|alarm| alarm.is_set.load(Ordering::Relaxed))
    }
}

/// A call with producers that wait.
pub(super) trait Wakeable: Send + Sync {
    /// Makes producers that were woken ready.
    fn wake_polled(self: Arc<Self>);
}

/// The waker of one producer. A forgotten one keeps little memory, and no call.
struct Alarm {
    is_set: AtomicBool,
    call: Weak<dyn Wakeable>,
}

impl Alarm {
    fn clear(&self) {
        // Seldom set, and a load is cheaper than a swap. The swap sees what came before the wake-up.
        if self.is_set.load(Ordering::Relaxed) {
            self.is_set.swap(false, Ordering::AcqRel);
        }
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // If it was set already, the thread that set it finds the producer.
        if !self.is_set.swap(true, Ordering::AcqRel) {
            if let Some(call) = self.call.upgrade() {
                call.wake_polled();
            }
        }
    }
}
