//! Checks the bearer token of each call before its handler runs, on a poll thread. It must not
//! block, and must not know the tokens: [`TokenSet::contains`] compares them.

use grpcio::{Metadata, RpcStatusCode};

use super::token::TokenSet;
use crate::Status;

/// Admits a call with a known token. Another call ends with UNAUTHENTICATED. grpcio ends calls of
/// unknown methods before any check.
pub(super) fn check(known: &TokenSet, headers: &Metadata) -> Result<(), Status> {
    let refuse = |why| Err(Status::new(RpcStatusCode::UNAUTHENTICATED, why));
    refusal(known, headers).map_or(Ok(()), refuse)
}

/// Returns the reason to refuse a call with these headers, if any. The reason does not help to
/// guess a token.
fn refusal(known: &TokenSet, headers: &Metadata) -> Option<&'static str> {
    let mut given = headers
        .iter()
        .filter(|(name, _)| *name == "authorization")
        .map(|(_, value)| value);
    match (given.next(), given.next()) {
        (None, _) => Some("a token is needed: send the header `authorization: Bearer TOKEN`"),
        (Some(_), Some(_)) => Some("there is more than one header `authorization`"),
        (Some(value), None) => match bearer(value) {
            None => Some("the header `authorization` is not of the form `Bearer TOKEN`"),
            Some(token) if known.contains(token) => None,
            Some(_) => Some("the token is not known here"),
        },
    }
}

/// Returns the token. The scheme may be in any case (RFC 9110).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme
        .eq_ignore_ascii_case(SCHEME)
        .then_some(token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_follows_the_scheme() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer  abc"), Some(&b"abc"[..]));
        for other in [&b""[..], b"Bearer", b"Basic abc", b"abc"] {
            assert_eq!(bearer(other), None);
        }
    }
}
