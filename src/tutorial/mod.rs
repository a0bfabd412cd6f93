//! The tutorial's `StreamService`: one request, many responses, each made by a worker. It is a user of
//! the library like any other; it must not know addresses or flags.

use std::time::Duration;

use crate::client::{Client, ResponseStream};
use crate::engine::codec::Encoded;
use crate::engine::{Job, Jobs};
use crate::proto::stream::{Request, Response};
use crate::server::Service;

/// What each request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tutorial {
    /// Responses to a request.
    pub responses: u32,
    /// Worker k answers after k steps. Without steps a single producer makes all responses, in
    /// order, as fast as they are taken.
    pub step: Duration,
    /// Bytes of each result: the tutorial's text, cut or padded with dots. `None` is the text as
    /// it is.
    pub size: Option<usize>,
}

impl Default for Tutorial {
    /// Five responses, a second apart, with the tutorial's text.
    fn default() -> Tutorial {
        Tutorial {
            responses: 5,
            step: Duration::from_secs(1),
            size: None,
        }
    }
}

impl Tutorial {
    /// The jobs of one request. Makes each job when it is due, so an open stream that waits holds
    /// little.
    pub fn jobs(&self, id: i32) -> Jobs<Encoded<Response>> {
        let Tutorial {
            responses,
            step,
            size,
        } = *self;
        // One for all: its text keeps its memory.
        let mut response = Response::default();
        let respond = move |k| {
            tracing::info!(target: TUTORIAL, id, sequence = k, "finishing request number : {k}");
            write_result(&mut response.result, k, id, size);
            Encoded::new(&response)
        };
        if step.is_zero() {
            return Job::now((0..responses).map(respond)).into();
        }
        let due = move |k| step.checked_mul(k).unwrap_or(Duration::MAX);
        Jobs::at((0..responses).map(due), move |k| {
            std::iter::once(k as u32).map(respond.clone())
        })
    }
}

fn write_result(result: &mut String, k: u32, id: i32, size: Option<usize>) {
    result.clear();
    result.reserve(size.unwrap_or(LONGEST_TEXT));
    // `format!` costs several times as much, and this is most of what a worker does.
    let mut number = itoa::Buffer::new();
    result.push_str("Request #");
    result.push_str(number.format(k));
    result.push_str(" For Id:");
    result.push_str(number.format(id));
    if let Some(size) = size {
        result.truncate(size);
        while result.len() < size {
            let missing = size - result.len();
            result.push_str(&DOTS[..missing.min(DOTS.len())]);
        }
    }
}

/// To pad from, a piece at a time: dot by dot, 64 KiB cost 100 µs more.
const DOTS: &str = match std::str::from_utf8(&[b'.'; 4096]) {
    Ok(dots) => dots,
    Err(_) => unreachable!(),
};

/// Bytes of the tutorial's text with the longest numbers.
const LONGEST_TEXT: usize = "Request #4294967295 For Id:-2147483648".len();

/// The method of the tutorial.
pub use crate::proto::stream_grpc::METHOD_STREAM_SERVICE_FETCH_RESPONSE as FETCH_RESPONSE;

/// The target of the tutorial's log lines: one for each request and each response.
pub const TUTORIAL: &str = "fanstream::tutorial";

/// The service, which answers each request as `tutorial` says.
pub fn service(tutorial: Tutorial) -> Service {
    // Nothing here reads peers or headers, and 10,000 open streams hold none.
    let service = Service::new().without_metadata();
    service.server_streaming(&FETCH_RESPONSE, move |call, request: Request| {
        let id = request.id;
        call.set_subject(id.into());
        tracing::info!(target: TUTORIAL, id, "fetch response for id : {id}");
        Ok(tutorial.jobs(id))
    })
}

/// Calls the tutorial's method. Returns at once; the result blocks when it is iterated.
pub fn fetch(client: &Client, id: i32) -> ResponseStream<Response> {
    let mut request = Request::new();
    request.set_id(id);
    client.call(&FETCH_RESPONSE, request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(k: u32, id: i32, size: Option<usize>) -> String {
        let mut result = "of the response before".into();
        write_result(&mut result, k, id, size);
        result
    }

    #[test]
    fn the_tutorials_text() {
        assert_eq!(result(3, -7, None), "Request #3 For Id:-7");
    }

    #[test]
    fn a_size_is_kept_to_the_byte() {
        for size in [0, 1, 18, 19, 20, 65536] {
            assert_eq!(result(0, 1, Some(size)).len(), size);
        }
        assert_eq!(result(0, 1, Some(21)), "Request #0 For Id:1..");
    }
}
