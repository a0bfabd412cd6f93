//! Conversions into the jobs of a call, and into jobs of encoded messages. It runs nothing.

use super::super::codec::{Encoded, Message};
use super::super::payload::Payload;
use super::adapters;
use super::body::Produced;
use super::job::{Job, Jobs};

/// Conversion into the jobs of a call: what a handler can return.
///
/// | implemented by | as |
/// | --- | --- |
/// | each iterator or collection of `Result<T, Status>` | one producer, due at once |
/// | [`Job`] | one job |
/// | `Vec<Job>`, `[Job; N]`, `Option<Job>` | these jobs; those with the same delay in their order |
/// | [`Jobs`] | itself |
///
/// An iterator of jobs is not among them: [`Jobs::lazy`] takes one.
///
/// ```
/// use std::time::Duration;
/// use fanstream::engine::{IntoJobs, Job, Produced};
///
/// fn serve(_: impl IntoJobs<Message = u32>) {}
///
/// serve((0..10).map(|n| Produced::Ok(n)));
/// serve([Produced::Ok(7)]);
/// let now = Job::now((0..10).map(Ok));
/// let later = Job::after(Duration::from_secs(60), std::iter::once(Ok(10)));
/// serve([now, later]);
/// ```
pub trait IntoJobs {
    /// The message type of the producers.
    type Message;

    /// Converts `self` into jobs.
    fn into_jobs(self) -> Jobs<Self::Message>;
}

impl<T: 'static> IntoJobs for Jobs<T> {
    type Message = T;

    fn into_jobs(self) -> Jobs<T> {
        self
    }
}

impl<T: 'static> IntoJobs for Job<T> {
    type Message = T;

    fn into_jobs(self) -> Jobs<T> {
        self.into()
    }
}

impl<C: IntoIterator> IntoJobs for C
where
    C::Item: Element<C>,
{
    type Message = <C::Item as Element<C>>::Message;

    fn into_jobs(self) -> Jobs<Self::Message> {
        C::Item::into_jobs(self)
    }
}

/// An element of `C`, which decides what `C` is. Without it, vectors of jobs and iterators of messages
/// would need two implementations of [`IntoJobs`], and the compiler could not tell that a vector is
/// not an iterator.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}` in this collection or iterator",
    note = "it can return an iterator of `Result<_, Status>`, or an array, a vector or an option of `Job`"
)]
pub trait Element<C> {
    type Message;

    fn into_jobs(all: C) -> Jobs<Self::Message>;
}

impl<T: 'static, C: IntoIterator<Item = Produced<T>>> Element<C> for Produced<T>
where
    C::IntoIter: Send + 'static,
{
    type Message = T;

    fn into_jobs(all: C) -> Jobs<T> {
        Job::now(all.into_iter()).into()
    }
}

impl<T: 'static> Element<Vec<Job<T>>> for Job<T> {
    type Message = T;

    fn into_jobs(all: Vec<Job<T>>) -> Jobs<T> {
        all.into()
    }
}

impl<T: 'static, const N: usize> Element<[Job<T>; N]> for Job<T> {
    type Message = T;

    fn into_jobs(all: [Job<T>; N]) -> Jobs<T> {
        Vec::from(all).into()
    }
}

impl<T: 'static> Element<Option<Job<T>>> for Job<T> {
    type Message = T;

    fn into_jobs(all: Option<Job<T>>) -> Jobs<T> {
        Vec::from_iter(all).into()
    }
}

/// A message that is sent as an encoded `M`: an `M`, which the worker that made it encodes, or an
/// [`Encoded`], which is sent unchanged.
pub trait IntoEncoded<M>: Payload + Sized {
    /// The same jobs, with each message encoded. A message that cannot be encoded fails its
    /// producer.
    fn encode_jobs(jobs: Jobs<Self>) -> Jobs<Encoded<M>>;
}

impl<M: Message> IntoEncoded<M> for M {
    fn encode_jobs(jobs: Jobs<M>) -> Jobs<Encoded<M>> {
        let encode: fn(&M) -> Produced<Encoded<M>> = Encoded::new;
        jobs.map_bodies(
            move |body| adapters::map(body, encode),
            |mut make| Box::new(move || encode(&make()?)),
        )
    }
}

impl<M: 'static> IntoEncoded<M> for Encoded<M> {
    fn encode_jobs(jobs: Jobs<Encoded<M>>) -> Jobs<Encoded<M>> {
        jobs
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::body::Body;
    use super::*;

    /// The messages, and the number of jobs.
    fn run(jobs: impl IntoJobs<Message = u32>) -> (Vec<u32>, usize) {
        let mut jobs = jobs.into_jobs();
        let (mut messages, mut count) = (Vec::new(), 0);
        while jobs.next_delay().is_some() {
            count += 1;
            if let Some(Body::Pull(producer)) = jobs.start() {
                messages.extend(producer.map(Result::unwrap));
            }
        }
        (messages, count)
    }

    fn job(delay: u64, message: u32) -> Job<u32> {
        Job::after(Duration::from_secs(delay), [Ok(message)].into_iter())
    }

    #[test]
    fn iterators_and_collections_of_messages_are_one_job() {
        assert_eq!(run((0..3).map(Ok)), (vec![0, 1, 2], 1));
        assert_eq!(run(vec![Ok(1), Ok(2)]), (vec![1, 2], 1));
        assert_eq!(run([Ok(1)]), (vec![1], 1));
        assert_eq!(run(None::<Produced<u32>>), (vec![], 1));
    }

    #[test]
    fn collections_of_jobs_start_in_the_order_of_their_delays() {
        assert_eq!(run(job(1, 5)), (vec![5], 1));
        assert_eq!(run(vec![job(2, 0), job(1, 1)]), (vec![1, 0], 2));
        assert_eq!(run([job(2, 0), job(1, 1), job(1, 2)]), (vec![1, 2, 0], 3));
        assert_eq!(run(Some(job(1, 1))), (vec![1], 1));
        assert_eq!(run(None::<Job<u32>>), (vec![], 0));
    }
}
