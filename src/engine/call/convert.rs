//! Conversions into the jobs of a call, and into jobs of encoded messages. It runs nothing.

use grpcio::RpcStatus;
use protobuf::Message;

use super::super::codec::Encoded;
use super::super::payload::Payload;
use super::adapters;
use super::body::Produced;
use super::job::{Job, Jobs};

/// Conversion into the jobs of a call. Implemented by [`Jobs`], by a single [`Job`], and by each
/// producer: any iterator of `Result<T, RpcStatus>`. For a vector use [`Jobs::from`].
///
/// ```
/// use fanstream::engine::{IntoJobs, Produced};
///
/// fn serve(_: impl IntoJobs<Message = u32>) {}
///
/// serve((0..10).map(|n| Produced::Ok(n)));
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

impl<T: 'static, P: Iterator<Item = Result<T, RpcStatus>> + Send + 'static> IntoJobs for P {
    type Message = T;

    /// One job, due now.
    fn into_jobs(self) -> Jobs<T> {
        Job::now(self).into()
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
