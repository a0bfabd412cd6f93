//! Tokens: the places of one stream, authenticated. They are bound to the method, the request and the
//! settings of the source. It must not know what a place is.
//!
//! A token is the version, one byte; the first 16 bytes of an HMAC-SHA256; and the place.

use openssl::memcmp;
use openssl::sha::Sha256;

use super::key::ResumeKey;
use super::position::MAX_TOKEN_BYTES;
use crate::Status;

const VERSION: u8 = 1;
const TAG_BYTES: usize = 16;

/// Makes and reads the tokens of one stream.
pub(crate) struct Tokens<'a> {
    key: &'a ResumeKey,
    binding: [u8; 32],
}

impl Tokens<'_> {
    /// Tokens for the stream that `method` gives for this encoded `request`, from a source with these
    /// `settings`.
    pub(crate) fn new<'a>(
        key: &'a ResumeKey,
        method: &str,
        settings: &str,
        request: &[u8],
    ) -> Tokens<'a> {
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), settings.as_bytes(), request] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Tokens {
            key,
            binding: hash.finish(),
        }
    }

    /// The token of a place.
    ///
    /// # Errors
    /// INTERNAL if the place is too long.
    pub(crate) fn seal(&self, place: &[u8]) -> Result<Vec<u8>, Status> {
        if 1 + TAG_BYTES + place.len() > MAX_TOKEN_BYTES {
            let length = place.len();
            return Err(Status::internal(format!(
                "a place of {length} bytes is too long for a token"
            )));
        }
        let tag = self.tag(place)?;
        Ok([&[VERSION], &tag[..], place].concat())
    }

    /// The place of a token.
    ///
    /// # Errors
    /// INVALID_ARGUMENT if it is not a token of this stream.
    pub(crate) fn open<'t>(&self, token: &'t [u8]) -> Result<&'t [u8], Status> {
        let foreign = || {
            Status::invalid_argument(
                "the position has a token of another stream or server, or a broken one",
            )
        };
        let (version, rest) = token.split_first().ok_or_else(foreign)?;
        if *version != VERSION {
            return Err(Status::invalid_argument(format!(
                "the position has a token of version {version}, which this server does not know"
            )));
        }
        let (tag, place) = rest.split_at_checked(TAG_BYTES).ok_or_else(foreign)?;
        match memcmp::eq(&self.tag(place)?, tag) {
            true => Ok(place),
            false => Err(foreign()),
        }
    }

    fn tag(&self, place: &[u8]) -> Result<[u8; TAG_BYTES], Status> {
        let broken = |error| Status::internal(format!("OpenSSL: {error}"));
        let parts = [&[VERSION], &self.binding[..], place];
        let tag = self.key.authenticate(&parts).map_err(broken)?;
        let mut first = [0; TAG_BYTES];
        first.copy_from_slice(&tag[..TAG_BYTES]);
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use grpcio::RpcStatusCode;

    use super::*;

    fn key(n: u8) -> ResumeKey {
        ResumeKey::new([n; 32]).unwrap()
    }

    #[test]
    fn a_token_gives_its_place_back_and_is_short() {
        let key = key(1);
        let tokens = Tokens::new(&key, "/a.B/C", "lines", b"request");
        for place in [&b""[..], b"place", &[7; 512]] {
            let token = tokens.seal(place).unwrap();
            assert_eq!(tokens.open(&token).unwrap(), place);
            assert!(token.len() * 4 / 3 < 1024);
        }
        let long = tokens.seal(&[0; 800]).unwrap_err();
        assert_eq!(long.code(), RpcStatusCode::INTERNAL);
    }

    #[test]
    fn a_token_of_anything_else_is_refused() {
        let (one, other) = (key(1), key(2));
        let tokens = Tokens::new(&one, "/a.B/C", "lines", b"request");
        let refuses = |token: &[u8]| {
            let error = tokens.open(token).unwrap_err();
            assert_eq!(error.code(), RpcStatusCode::INVALID_ARGUMENT, "{error}");
        };
        for foreign in [
            Tokens::new(&other, "/a.B/C", "lines", b"request"),
            Tokens::new(&one, "/a.B/D", "lines", b"request"),
            Tokens::new(&one, "/a.B/C", "blobs", b"request"),
            Tokens::new(&one, "/a.B/C", "lines", b"another"),
            Tokens::new(&one, "/a.B/Cl", "ines", b"request"),
        ] {
            refuses(&foreign.seal(b"place").unwrap());
        }
        let token = tokens.seal(b"place").unwrap();
        for length in 0..token.len() {
            refuses(&token[..length]);
        }
        for byte in 0..token.len() {
            let mut broken = token.clone();
            broken[byte] ^= 1;
            refuses(&broken);
        }
        let version = tokens.open(&[9, 0]).unwrap_err();
        assert!(version.message().contains("version 9"), "{version}");
    }
}
