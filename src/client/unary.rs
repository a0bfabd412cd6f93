//! Makes unary calls: streaming calls with exactly one response. It must not know the messages.

use grpcio::{Metadata, MetadataBuilder, Method, RpcStatusCode};

use super::{CallSettings, Client, ResponseStream};
use crate::engine::{CallStatus, Payload, ReceiveError, ReceiveTimeouts};

/// The response of a unary call with its metadata.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnaryResponse<T> {
    /// The server's headers (initial metadata).
    pub headers: Metadata,
    /// The response.
    pub message: T,
    /// The server's trailers (trailing metadata). None without the patches in scripts/ccore.
    pub trailers: Metadata,
}

/// Makes the call. Blocks until it has ended or the last attempt has failed.
pub(super) fn call<Req, T: Payload>(
    client: &Client,
    method: &Method<Req, T>,
    request: &Req,
    settings: CallSettings,
) -> Result<UnaryResponse<T>, ReceiveError> {
    let settings = CallSettings {
        timeouts: ReceiveTimeouts::default(),
        ..settings
    };
    let mut responses = ResponseStream::start(client.clone(), method, request, settings);
    let message = match responses.next() {
        Some(message) => message?,
        None => return Err(not_one("no response")),
    };
    match responses.next() {
        None => {}
        Some(Ok(_)) => return Err(not_one("several responses")),
        Some(Err(error)) => return Err(error),
    }
    let none = || MetadataBuilder::new().build();
    let trailers = responses.status().map(CallStatus::trailers);
    Ok(UnaryResponse {
        headers: responses.headers().cloned().unwrap_or_else(none),
        message,
        trailers: trailers.cloned().unwrap_or_else(none),
    })
}

/// The code that gRPC prescribes for a response cardinality violation.
fn not_one(what: &str) -> ReceiveError {
    let text = format!("the server ended a unary call with {what}");
    ReceiveError::Status(CallStatus::local(RpcStatusCode::UNIMPLEMENTED, text))
}
