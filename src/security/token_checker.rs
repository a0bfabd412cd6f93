//! Checks the bearer token of each call before its handler runs, on a poll thread. It must not
//! block, and must not know the tokens: [`TokenSet::contains`] compares them.

use grpcio::{CheckResult, Metadata, RpcContext, RpcStatus, RpcStatusCode, ServerChecker};

use super::token::TokenSet;
use crate::engine::Streams;

/// Admits calls with a known token. Other calls end with UNAUTHENTICATED and are counted as
/// refused. grpcio ends calls of unknown methods before it calls any checker.
#[derive(Clone)]
pub(crate) struct TokenChecker(pub(crate) TokenSet, pub(crate) Streams);

impl ServerChecker for TokenChecker {
    fn check(&mut self, ctx: &RpcContext<'_>) -> CheckResult {
        match refusal(&self.0, ctx.request_headers()) {
            None => CheckResult::Continue,
            Some(why) => {
                self.1.count_refusal("token");
                let code = RpcStatusCode::UNAUTHENTICATED;
                CheckResult::Abort(RpcStatus::with_message(code, why.into()))
            }
        }
    }

    fn box_clone(&self) -> Box<dyn ServerChecker> {
        Box::new(self.clone())
    }
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
