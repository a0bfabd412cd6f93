//! The status of a call, as its client got it: with its metadata, and with its origin.

use std::fmt;

use grpcio::{Metadata, RpcStatus, RpcStatusCode};

use super::status::{has_metadata, received, Received};
use crate::names::status_name;

/// The status with which a call ended for its client.
///
/// `Display` writes the code's name and the text, such as `NOT_FOUND: no such file`.
#[derive(Clone)]
pub struct CallStatus(Box<Received>);

/// The origin of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatusOrigin {
    /// The server, or a proxy that speaks gRPC.
    Server,
    /// The stream or its connection broke, or the answer was not one of gRPC, such as a proxy's
    /// error page. The server may have processed the call.
    Transport,
    /// The server refused the stream (REFUSED_STREAM) before it processed anything of the call.
    Refused,
    /// The connection was closing for new calls, in an orderly way (GOAWAY), when this one began.
    Unsent,
    /// This side: a deadline, a cancellation, or a response that it cannot use.
    Client,
}

/// What the C-core says of a status that came from its peer.
const FROM_PEER: &str = "Error received from peer";

/// The message of the C-core for a call that its connection no longer takes: the server closes the
/// connection in an orderly way, and its GOAWAY does not include the call.
const CLOSED_FOR_NEW_CALLS: &str = "GOAWAY received; Error code: 0;";

/// Its message for REFUSED_STREAM.
const REFUSED: &str = "Received RST_STREAM with error code 7";

/// Its messages for other broken streams, and for answers that are not gRPC's.
const OF_TRANSPORT: [&str; 4] = [
    "Received RST_STREAM with error code",
    "Stream removed",
    "Received http2 header with status",
    "whose content-type is not application/grpc",
];

impl CallStatus {
    /// A status that this side makes.
    pub(crate) fn local(code: RpcStatusCode, text: impl Into<String>) -> CallStatus {
        RpcStatus::with_message(code, text.into()).into()
    }

    /// The code: one that gRPC knows, UNKNOWN for others.
    pub fn code(&self) -> RpcStatusCode {
        self.0.status.code()
    }

    /// The text.
    pub fn message(&self) -> &str {
        self.0.status.message()
    }

    /// The details: by convention an encoded `google.rpc.Status`.
    pub fn details(&self) -> &[u8] {
        self.0.status.details()
    }

    /// The server's trailers. None for calls of generated code, nor without the patches in
    /// scripts/ccore.
    pub fn trailers(&self) -> &Metadata {
        &self.0.trailers
    }

    /// The server's headers, if the call failed. As for [`CallStatus::trailers`].
    pub fn headers(&self) -> &Metadata {
        &self.0.headers
    }

    /// Who made the status: a server's own INTERNAL is final, that of a broken stream may be worth
    /// another call. Without the patches in scripts/ccore the text decides, which a server may send
    /// too.
    pub fn origin(&self) -> StatusOrigin {
        let is_peers = self.0.status.debug_error_string().contains(FROM_PEER);
        if is_peers && has_metadata() {
            return StatusOrigin::Server;
        }
        let text = self.message();
        if text == REFUSED {
            return StatusOrigin::Refused;
        }
        if text.starts_with(CLOSED_FOR_NEW_CALLS) {
            return StatusOrigin::Unsent;
        }
        if OF_TRANSPORT.iter().any(|sign| text.contains(sign)) {
            return StatusOrigin::Transport;
        }
        match (is_peers, self.code()) {
            (true, _) => StatusOrigin::Server,
            (false, RpcStatusCode::UNAVAILABLE) => StatusOrigin::Transport,
            (false, _) => StatusOrigin::Client,
        }
    }

    /// As grpcio's type.
    pub fn as_rpc_status(&self) -> &RpcStatus {
        &self.0.status
    }
}

impl From<RpcStatus> for CallStatus {
    /// The status that grpcio has received.
    fn from(status: RpcStatus) -> CallStatus {
        CallStatus(Box::new(received(status)))
    }
}

impl From<CallStatus> for RpcStatus {
    fn from(status: CallStatus) -> RpcStatus {
        status.0.status
    }
}

impl fmt::Display for CallStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", status_name(self.code()), self.message())
    }
}

impl fmt::Debug for CallStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStatus")
            .field("code", &self.code())
            .field("message", &self.message())
            .field("origin", &self.origin())
            .finish_non_exhaustive()
    }
}
