//! A unary call with its retries. It must not know the messages.

use futures::executor::block_on;
use grpcio::{Metadata, Method, RpcStatus, RpcStatusCode};

use super::response_stream::deadline_cancelled;
use super::retry::{deadline_after, is_retryable, time_left, Retry};
use super::{CallSettings, Client};
use crate::engine::ReceiveError;

/// The response of a unary call, and its metadata.
#[derive(Clone, Debug)]
pub struct UnaryResponse<T> {
    /// The server's headers (initial metadata).
    pub headers: Metadata,
    /// The response.
    pub message: T,
    /// The server's trailers (trailing metadata).
    pub trailers: Metadata,
}

/// Blocks until the response is there or the last attempt has failed.
pub(super) fn call<Req, T>(
    client: &Client,
    method: &Method<Req, T>,
    request: &Req,
    settings: &CallSettings,
) -> Result<UnaryResponse<T>, ReceiveError> {
    let deadline = deadline_after(settings.timeout);
    let mut retry = Retry::new(settings.retries, deadline);
    loop {
        let options = settings.options(time_left(deadline));
        let answered = client
            .core
            .unary_call_async(method, request, options)
            .and_then(|mut receiver| block_on(receive(&mut receiver)));
        match answered.map_err(failure) {
            Err(ReceiveError::Status(status)) if is_retryable(status.code()) && retry.pause() => {}
            Err(ReceiveError::Status(status)) if deadline_cancelled(&status, deadline) => {
                let exceeded = RpcStatus::new(RpcStatusCode::DEADLINE_EXCEEDED);
                return Err(ReceiveError::Status(exceeded));
            }
            other => return other,
        }
    }
}

async fn receive<T>(
    receiver: &mut grpcio::ClientUnaryReceiver<T>,
) -> grpcio::Result<UnaryResponse<T>> {
    let message = receiver.message().await?;
    Ok(UnaryResponse {
        headers: receiver.headers().await?.clone(),
        message,
        trailers: receiver.trailers().await?.clone(),
    })
}

pub(super) fn failure(error: grpcio::Error) -> ReceiveError {
    match error {
        grpcio::Error::RpcFailure(status) | grpcio::Error::RpcFinished(Some(status)) => {
            ReceiveError::Status(status)
        }
        other => ReceiveError::Broken(other),
    }
}
