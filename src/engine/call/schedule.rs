//! Sources of jobs, one job after the other, in the order of their due times. It runs no job.

use std::time::Duration;

use super::super::panic::drop_caught;
use super::body::{Body, Producer};

pub(super) trait Schedule<T>: Send {
    fn next_delay(&mut self) -> Option<Duration>;
    fn start(&mut self) -> Option<Body<T>>;
    fn is_prompt(&self) -> bool;
}

pub(super) struct FromIterator<I: Iterator<Item = (Duration, Body<T>)>, T> {
    pub(super) jobs: I,
    pub(super) next: Option<Body<T>>,
    /// The jobs exist already, so the iterator never blocks.
    pub(super) is_prompt: bool,
}

impl<T, I: Iterator<Item = (Duration, Body<T>)> + Send> Schedule<T> for FromIterator<I, T> {
    fn next_delay(&mut self) -> Option<Duration> {
        let (delay, body) = self.jobs.next()?;
        self.next = Some(body);
        Some(delay)
    }

    fn start(&mut self) -> Option<Body<T>> {
        self.next.take()
    }

    fn is_prompt(&self) -> bool {
        self.is_prompt
    }
}

impl<I: Iterator<Item = (Duration, Body<T>)>, T> Drop for FromIterator<I, T> {
    fn drop(&mut self) {
        drop_caught(self.next.take());
        if self.is_prompt {
            // One by one: two panics in one drop would abort the process.
            self.jobs.by_ref().for_each(drop_caught);
        }
    }
}

pub(super) struct AtDelays<D, M> {
    pub(super) delays: D,
    pub(super) make: M,
    /// The number of the next job.
    pub(super) number: u64,
}

impl<T, P, D, M> Schedule<T> for AtDelays<D, M>
where
    P: Producer<T>,
    D: Iterator<Item = Duration> + Send,
    M: FnMut(u64) -> P + Send,
{
    fn next_delay(&mut self) -> Option<Duration> {
        self.delays.next()
    }

    fn start(&mut self) -> Option<Body<T>> {
        let producer = (self.make)(self.number);
        self.number += 1;
        Some(Body::Pull(Box::new(producer)))
    }

    fn is_prompt(&self) -> bool {
        true
    }
}

pub(super) struct MapBodies<T, F> {
    pub(super) inner: Box<dyn Schedule<T>>,
    pub(super) map: F,
}

impl<T, U, F: FnMut(Body<T>) -> Body<U> + Send> Schedule<U> for MapBodies<T, F> {
    fn next_delay(&mut self) -> Option<Duration> {
        self.inner.next_delay()
    }

    fn start(&mut self) -> Option<Body<U>> {
        self.inner.start().map(&mut self.map)
    }

    fn is_prompt(&self) -> bool {
        self.inner.is_prompt()
    }
}
