//! What streams are answered from: the trait [`Source`], the service that makes resumable streams of
//! one, and a file for each source. They must not know flags.
//!
//! | file | source |
//! | --- | --- |
//! | `lines.rs` | [`Lines`]: the lines of files in a directory |
//!
//! The tutorial, in `src/tutorial`, is not one: its responses come from several workers in no fixed
//! order, and no call of it can be resumed.

mod decompress;
mod directory;
mod fingerprint;
mod lines;

pub use lines::{BadLines, LineRecords, Lines};

use grpcio::{GrpcSlice, Method};

use crate::engine::codec::Message;
use crate::engine::grpcio_error::Words;
use crate::engine::{CallContext, IntoEncoded, IntoJobs};
use crate::resume::{Position, ResumeKey, Tokens};
use crate::server::Service;
use crate::Status;

/// Target of the log lines of sources: for each call its request, and from where it is resumed.
pub const SOURCES: &str = "fanstream::sources";

/// The records that a call skips between two looks at its end.
const SKIPPED_AT_ONCE: u64 = 1 << 16;

/// What streams are answered from: a request is opened at a place, and gives records in a fixed order.
///
/// A place is a few bytes that only the source reads, such as an offset. [`service`] puts them into
/// tokens, counts, skips, and tells the client from where it starts. [`Lines`] is an example.
///
/// ```
/// use fanstream::engine::{CallContext, Produced};
/// use fanstream::proto::stream::{Request, Response};
/// use fanstream::resume::ResumeKey;
/// use fanstream::sources::{service, Records, Source};
/// use fanstream::tutorial::FETCH_RESPONSE;
/// use fanstream::Status;
///
/// /// The numbers from 0 to the request's id.
/// struct Numbers;
///
/// struct From(std::ops::Range<i32>);
///
/// impl Source for Numbers {
///     type Request = Request;
///     type Response = Response;
///     type Records = From;
///
///     fn settings(&self) -> String {
///         "numbers".into()
///     }
///
///     fn open(&self, _: &CallContext, request: &Request, place: Option<&[u8]>) -> Result<From, Status> {
///         let start = match place {
///             None => 0,
///             Some(place) => i32::from_be_bytes(
///                 place.try_into().map_err(|_| Status::internal("not a place of mine"))?,
///             ),
///         };
///         Ok(From(start..request.id))
///     }
/// }
///
/// impl Iterator for From {
///     type Item = Produced<Response>;
///
///     fn next(&mut self) -> Option<Produced<Response>> {
///         let result = self.0.next()?.to_string();
///         Some(Ok(Response { result, ..Response::default() }))
///     }
/// }
///
/// impl Records for From {
///     fn place(&self) -> Option<Vec<u8>> {
///         Some(self.0.start.to_be_bytes().into())
///     }
///
///     fn skip_records(&mut self, count: u64) -> Result<u64, Status> {
///         Ok(self.0.by_ref().take(count as usize).count() as u64)
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let numbers = service(&FETCH_RESPONSE, Numbers, ResumeKey::random()?);
/// # drop(numbers);
/// # Ok(())
/// # }
/// ```
pub trait Source: Send + Sync + 'static {
    /// The requests.
    type Request: Message;
    /// The responses.
    type Response: Message;
    /// The records of one call, as responses.
    type Records: Records<Message: IntoEncoded<Self::Response>>;

    /// The name of the source, with all settings that change its records. A token of one text is
    /// refused where the text is another. Copies of the data on several machines have the same text.
    fn settings(&self) -> String;

    /// Opens the records from `place`, which [`Records::place`] has made for the same request, here or
    /// on another server with the same key; or from the start. Runs on a worker thread and may block.
    ///
    /// # Errors
    /// The status of the call. By convention NOT_FOUND if there is nothing for this request, and for a
    /// place FAILED_PRECONDITION if the data are no longer those of that place, OUT_OF_RANGE if they
    /// do not reach so far.
    fn open(
        &self,
        call: &CallContext,
        request: &Self::Request,
        place: Option<&[u8]>,
    ) -> Result<Self::Records, Status>;
}

/// The records of one call: an iterator, or whatever else becomes jobs. Each record is one message,
/// and their order never changes.
pub trait Records: IntoJobs {
    /// The place before the next record, at most 512 bytes. `None` if the source cannot go on from
    /// here.
    fn place(&self) -> Option<Vec<u8>>;

    /// Skips records, and returns how many: fewer than `count` only at the end. May block.
    ///
    /// # Errors
    /// The status of the call.
    fn skip_records(&mut self, count: u64) -> Result<u64, Status>;
}

/// Returns a service that answers `method` from `source`. Its calls can be resumed, by
/// [`ResponseStream::resuming`](crate::client::ResponseStream::resuming), on each server with this
/// `key` and the same data.
///
/// It reads positions from request headers, so it must keep its metadata
/// ([`Service::without_metadata`]).
///
/// A position that the call does not get ends it: INVALID_ARGUMENT for a token of another stream or
/// key, OUT_OF_RANGE for one beyond the end, or the status of [`Source::open`].
pub fn service<S: Source>(
    method: &Method<S::Request, S::Response>,
    source: S,
    key: ResumeKey,
) -> Service {
    let (name, encode) = (method.name, method.req_mar.ser);
    Service::new().server_streaming(method, move |call, request: S::Request| {
        let mut bytes = GrpcSlice::default();
        encode(&request, &mut bytes)
            .map_err(|error| Status::internal(Words(&error).to_string()))?;
        let settings = source.settings();
        let tokens = Tokens::new(&key, name, &settings, bytes.as_slice());
        let position = call
            .headers()
            .map(Position::requested)
            .transpose()?
            .flatten();
        let place = position
            .as_ref()
            .map(|position| tokens.open(&position.token));
        let mut records = source.open(call, &request, place.transpose()?)?;
        let count = position.as_ref().map_or(0, |position| position.count);
        skip(&mut records, count, call)?;
        let token = records
            .place()
            .map(|place| tokens.seal(&place))
            .transpose()?;
        let headers = Position::response_headers(position.as_ref(), token.as_deref());
        if !headers.is_empty() {
            call.send_response_headers(headers);
        }
        if position.is_some() {
            tracing::info!(target: SOURCES, method = name, count, "resumed, after {count} records");
        }
        Ok(records)
    })
}

/// Skips `count` records, or fails.
fn skip(records: &mut impl Records, count: u64, call: &CallContext) -> Result<(), Status> {
    let mut left = count;
    while left > 0 {
        if call.is_over() {
            return Err(Status::cancelled("the call is over"));
        }
        let batch = left.min(SKIPPED_AT_ONCE);
        let skipped = records.skip_records(batch)?;
        left -= skipped.min(batch);
        if skipped < batch {
            let there = count - left;
            return Err(Status::out_of_range(format!(
                "the position is beyond the end: {there} records follow its token, not {count}"
            )));
        }
    }
    Ok(())
}
