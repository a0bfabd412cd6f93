//! The error of a client that cannot connect. It replaces common messages of the C-core and OpenSSL
//! by a short reason. It must not connect.

use std::time::Duration;

use grpcio::{RpcStatus, RpcStatusCode};
use humantime::format_duration;

use crate::address::{Address, AddressError};

/// The client cannot connect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The server cannot be reached, and no retry is left.
    #[error("cannot connect to {address}: {reason}")]
    Failed {
        /// The configured address.
        address: Address,
        /// The reason.
        reason: String,
    },
    /// [`ClientConfig::connect_timeout`](super::ClientConfig::connect_timeout) has passed.
    #[error("cannot connect to {address} within {}: {reason}", format_duration(*.after))]
    TimedOut {
        /// The configured address.
        address: Address,
        /// The timeout.
        after: Duration,
        /// The reason, as far as known.
        reason: String,
    },
    /// [`ClientConfig::timeout`](super::ClientConfig::timeout), the shorter of both, has passed.
    #[error("no connection to {address} within the {} of the call: {reason}", format_duration(*.after))]
    DeadlineExceeded {
        /// The configured address.
        address: Address,
        /// The timeout.
        after: Duration,
        /// The reason, as far as known.
        reason: String,
    },
    /// [`ClientConfig::token`](super::ClientConfig::token) would be sent unencrypted to another
    /// machine.
    #[error(
        "the token would be sent to {address} in the clear, where others can read it; use TLS"
    )]
    TokenInTheClear {
        /// The configured address.
        address: Address,
    },
}

impl ConnectError {
    /// Returns the status code of a call over this connection.
    pub fn code(&self) -> RpcStatusCode {
        match self {
            ConnectError::Address(_) => RpcStatusCode::INVALID_ARGUMENT,
            ConnectError::Failed { .. } | ConnectError::TimedOut { .. } => {
                RpcStatusCode::UNAVAILABLE
            }
            ConnectError::DeadlineExceeded { .. } => RpcStatusCode::DEADLINE_EXCEEDED,
            // As with gRPC's call credentials.
            ConnectError::TokenInTheClear { .. } => RpcStatusCode::UNAUTHENTICATED,
        }
    }
}

/// Parts of the C-core's messages, the more specific first, and the reasons shown for them.
const KNOWN_REASONS: [(&str, &str); 8] = [
    ("Connection refused", "connection refused"),
    ("DNS resolution failed", "there is no such host"),
    ("No such file or directory", "there is no such socket"),
    ("Network is unreachable", "the network is unreachable"),
    ("No route to host", "there is no route to the host"),
    ("Permission denied", "permission denied"),
    (
        "certificate verify failed",
        "the server's certificate is not trusted: it is of another authority, or out of date",
    ),
    ("wrong version number", "the server does not speak TLS"),
];

/// The security of the configured connection.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
pub(super) enum Security {
    Clear,
    Tls,
    /// TLS with a client certificate.
    MutualTls,
}

/// Returns why a channel has failed, given the status of a call over it.
pub(super) fn reason(status: &RpcStatus, security: Security) -> String {
    let message = status.message();
    if let Some((_, ours)) = KNOWN_REASONS
        .iter()
        .find(|(theirs, _)| message.contains(theirs))
    {
        return (*ours).into();
    }
    if let Some(name) = between(message, "Peer name ", " is not in peer certificate") {
        return format!("the server's certificate is not for `{name}`");
    }
    // A server that expects TLS or another certificate only closes the connection: with TLS 1.3,
    // the client completes the handshake before the server has checked the client's certificate.
    if message.contains("Socket closed") || message.contains("Connection reset") {
        let why = match security {
            Security::Clear => "perhaps it speaks TLS only",
            Security::Tls => "perhaps it wants a client's certificate",
            Security::MutualTls => "perhaps it does not trust the client's certificate",
        };
        return format!("the server closes the connection; {why}");
    }
    match message {
        "" => "it cannot be reached".into(),
        _ => message.into(),
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_become_short_reasons() {
        let of = |message: &str| {
            let code = RpcStatusCode::UNAVAILABLE;
            reason(
                &RpcStatus::with_message(code, message.into()),
                Security::Clear,
            )
        };
        assert_eq!(
            of(
                "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: \
                Failed to connect to remote host: Connection refused"
            ),
            "connection refused"
        );
        assert_eq!(
            of(
                "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: \
                Peer name foo is not in peer certificate"
            ),
            "the server's certificate is not for `foo`"
        );
        assert_eq!(of("something new"), "something new");
        assert_eq!(of(""), "it cannot be reached");
    }
}
