//! Why there is no connection, in plain words: what the C-core and OpenSSL say at length, where it
//! is one of the usual things.

use grpcio::RpcStatus;

use crate::security::ClientTls;

/// Parts of what the C-core says, the more particular first, and what that means.
const USUAL: [(&str, &str); 8] = [
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

/// Why a channel has failed, from the status of a call over it.
pub(super) fn reason(status: &RpcStatus, tls: Option<&ClientTls>) -> String {
    let message = status.message();
    if let Some((_, ours)) = USUAL.iter().find(|(theirs, _)| message.contains(theirs)) {
        return (*ours).into();
    }
    if let Some(name) = between(message, "Peer name ", " is not in peer certificate") {
        return format!("the server's certificate is not for `{name}`");
    }
    // All that a peer says that wants something else from us: with TLS 1.3 the handshake is over
    // for the client before the server has looked at the client's certificate.
    if message.contains("Socket closed") || message.contains("Connection reset") {
        let why = match tls {
            None => "perhaps it speaks TLS only",
            Some(tls) if tls.identity.is_none() => "perhaps it wants a client's certificate",
            Some(_) => "perhaps it does not trust the client's certificate",
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
    use grpcio::RpcStatusCode;

    use super::*;

    #[test]
    fn what_the_c_core_says_at_length_is_said_in_short() {
        let of = |message: &str| {
            let code = RpcStatusCode::UNAVAILABLE;
            reason(&RpcStatus::with_message(code, message.into()), None)
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
