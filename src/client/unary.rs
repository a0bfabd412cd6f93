//! Makes unary calls, including retries. It must not know the messages.

use grpcio::{
    ClientUnaryReceiver, Marshaller, MessageReader, Metadata, Method, MethodType, RpcStatus,
    RpcStatusCode, WriteFlags,
};

use super::retry::{deadline_after, status_at_deadline, time_left, Retry};
use super::{CallSettings, Client};
use crate::engine::panic::run_caught;
use crate::engine::status::has_metadata;
use crate::engine::{CallStatus, ReceiveError};

/// The response of a unary call with its metadata.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnaryResponse<T> {
    /// The server's headers (initial metadata).
    pub headers: Metadata,
    /// The response.
    pub message: T,
    /// The server's trailers (trailing metadata).
    pub trailers: Metadata,
}

/// Asks the patched C-core to report the metadata of a call with its status; see
/// `engine/status.rs`. It takes this flag as the wish, which says nothing of a call with one request.
pub(super) fn reports_metadata() -> WriteFlags {
    WriteFlags::default().buffer_hint(has_metadata())
}

/// Makes the call. Blocks until the response has arrived or the last attempt has failed.
pub(super) fn call<Req, T>(
    client: &Client,
    method: &Method<Req, T>,
    request: &Req,
    settings: &CallSettings,
) -> Result<UnaryResponse<T>, ReceiveError> {
    let undecoded = undecoded(method);
    let deadline = deadline_after(settings.timeout);
    let mut retry = Retry::new(settings.retries, deadline);
    loop {
        let options = settings.options(time_left(deadline), retry.attempts());
        let options = options.write_flags(reports_metadata());
        let answered = client
            .core
            .unary_call_async(&undecoded, request, options)
            .and_then(|receiver| receive(receiver, method));
        match answered.map_err(failure) {
            Err(ReceiveError::Status(status)) if retry.pause_after(&status) => {}
            Err(ReceiveError::Status(status)) => {
                return Err(ReceiveError::Status(status_at_deadline(status, deadline)))
            }
            other => return other,
        }
    }
}

/// Returns the method with undecoded responses. [`receive`] decodes them.
fn undecoded<Req, T>(method: &Method<Req, T>) -> Method<Req, MessageReader> {
    Method {
        ty: MethodType::Unary,
        name: method.name,
        req_mar: Marshaller {
            ser: method.req_mar.ser,
            de: method.req_mar.de,
        },
        resp_mar: Marshaller {
            ser: |_, _| Err(grpcio::Error::Codec("a client encodes no responses".into())),
            de: Ok,
        },
    }
}

/// Blocks until the response has arrived or the call has failed.
fn receive<T>(
    mut receiver: ClientUnaryReceiver<MessageReader>,
    method: &Method<impl Sized, T>,
) -> grpcio::Result<UnaryResponse<T>> {
    // grpcio panics if the server ends the call with OK but without a response.
    let received = run_caught("receiving no response", || receiver.receive_sync());
    let (headers, message, trailers) = received.unwrap_or_else(|| {
        let text = "the server ended a unary call with OK and no response";
        let status = RpcStatus::with_message(RpcStatusCode::UNIMPLEMENTED, text.into());
        Err(grpcio::Error::RpcFailure(status))
    })?;
    Ok(UnaryResponse {
        headers,
        message: (method.resp_mar.de)(message)?,
        trailers,
    })
}

pub(super) fn failure(error: grpcio::Error) -> ReceiveError {
    match error {
        grpcio::Error::RpcFailure(status) | grpcio::Error::RpcFinished(Some(status)) => {
            ReceiveError::Status(CallStatus::from(status))
        }
        other => ReceiveError::Broken(other),
    }
}
