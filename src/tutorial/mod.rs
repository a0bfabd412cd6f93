//! The tutorial's `StreamService`: one request, many responses, each produced by a worker. It uses
//! the library's public API. It must not know addresses or flags.

use std::time::Duration;

use crate::client::{Client, ResponseStream};
use crate::engine::codec::Encoded;
use crate::engine::{Job, Jobs};
use crate::proto::stream::{Request, Response};
use crate::server::Service;

/// Configuration of the responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tutorial {
    /// Number of responses per request.
    pub responses: u32,
    /// Response k is due after k steps. With a step of zero, one producer makes all responses in
    /// order, as fast as the client reads them.
    pub step: Duration,
    /// Size of each result in bytes: the tutorial's text is cut or padded with dots. `None` keeps
    /// the text unchanged.
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
    /// Returns the jobs of one request. Each job is made when it is due, so a waiting stream
    /// occupies little memory.
    pub fn jobs(&self, id: i32) -> Jobs<Encoded<Response>> {
        let tutorial = self.clone();
        let Tutorial {
            responses, step, ..
        } = tutorial;
        // Reused for all responses, which saves an allocation for each text.
        let mut response = Response::default();
        let respond = move |k| {
            tutorial.respond(&mut response, k, id);
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

    /// Turns `response` into response `k` to the request for `id`, and logs its line.
    pub fn respond(&self, response: &mut Response, k: u32, id: i32) {
        tracing::info!(target: TUTORIAL, id, sequence = k, "finishing request number : {k}");
        write_result(&mut response.result, k, id, self.size);
    }
}

fn write_result(result: &mut String, k: u32, id: i32, size: Option<usize>) {
    result.clear();
    result.reserve(size.unwrap_or(MAX_TEXT_BYTES));
    // Not `format!`, which costs several times as much: this is most of a worker's work.
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

/// Padding is copied in pieces of this. Dot by dot, 64 KiB would cost 100 µs more.
const DOTS: &str = match std::str::from_utf8(&[b'.'; 4096]) {
    Ok(dots) => dots,
    Err(_) => unreachable!(),
};

/// Bytes of the tutorial's text with the longest numbers.
const MAX_TEXT_BYTES: usize = "Request #4294967295 For Id:-2147483648".len();

/// The method of the tutorial.
pub use crate::proto::stream_grpc::METHOD_STREAM_SERVICE_FETCH_RESPONSE as FETCH_RESPONSE;

/// Target of the tutorial's log lines: one per request and one per response.
pub const TUTORIAL: &str = "fanstream::tutorial";

/// Returns the service, which responds as configured by `tutorial`.
pub fn service(tutorial: Tutorial) -> Service {
    // No code here reads peers or headers. Without them, 10,000 open streams occupy less memory.
    let service = Service::new().without_metadata();
    service.server_streaming(&FETCH_RESPONSE, move |call, request: Request| {
        let id = request.id;
        call.set_subject(id.to_string());
        tracing::info!(target: TUTORIAL, id, "fetch response for id : {id}");
        Ok(tutorial.jobs(id))
    })
}

/// Calls the tutorial's method. Returns at once; iterating the result blocks.
pub fn fetch(client: &Client, id: i32) -> ResponseStream<Response> {
    let mut request = Request::new();
    request.set_id(id);
    client.call(&FETCH_RESPONSE, request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(k: u32, id: i32, size: Option<usize>) -> String {
        let mut result = "of the previous response".into();
        write_result(&mut result, k, id, size);
        result
    }

    #[test]
    fn the_tutorials_text() {
        assert_eq!(result(3, -7, None), "Request #3 For Id:-7");
    }

    #[test]
    fn results_have_the_configured_size() {
        for size in [0, 1, 18, 19, 20, 65536] {
            assert_eq!(result(0, 1, Some(size)).len(), size);
        }
        assert_eq!(result(0, 1, Some(21)), "Request #0 For Id:1..");
    }
}
