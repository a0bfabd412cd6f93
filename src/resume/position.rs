//! A position in the metadata of a call. It must not know the content of tokens.
//!
//! | metadata | in the request | in the response |
//! | --- | --- | --- |
//! | `fanstream-resume-token-bin` | the token of the position | the token of the place before the first message |
//! | `fanstream-resume-count` | the messages after it | |
//! | `fanstream-resumed-token-bin`, `fanstream-resumed-count` | | the position from which the server really starts |

use grpcio::Metadata;
#[cfg(feature = "sources")]
use grpcio::MetadataBuilder;

#[cfg(feature = "sources")]
use crate::Status;

/// The most bytes of a token.
#[cfg(feature = "sources")]
pub(super) const MAX_TOKEN_BYTES: usize = 768;

const TOKEN: &str = "fanstream-resume-token-bin";
const COUNT: &str = "fanstream-resume-count";
const RESUMED_TOKEN: &str = "fanstream-resumed-token-bin";
const RESUMED_COUNT: &str = "fanstream-resumed-count";

/// A position in a stream: `count` messages after the place that `token` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// A server's token.
    pub token: Vec<u8>,
    /// The number of messages after it.
    pub count: u64,
}

impl Position {
    /// The position that a request asks for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT if the metadata are incomplete or not such a position.
    #[cfg(feature = "sources")]
    pub(crate) fn requested(headers: &Metadata) -> Result<Option<Position>, Status> {
        match (find(headers, TOKEN), find(headers, COUNT)) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(invalid(TOKEN, "needs", COUNT)),
            (None, Some(_)) => Err(invalid(COUNT, "needs", TOKEN)),
            (Some(token), _) if token.len() > MAX_TOKEN_BYTES => {
                Err(invalid(TOKEN, "is too long", ""))
            }
            (Some(token), Some(count)) => match number(count) {
                Some(count) => Ok(Some(Position {
                    token: token.to_vec(),
                    count,
                })),
                None => Err(invalid(COUNT, "is not a number", "")),
            },
        }
    }

    /// The position from which a server says that it starts.
    pub(crate) fn resumed(headers: &Metadata) -> Option<Position> {
        let token = find(headers, RESUMED_TOKEN)?.to_vec();
        let count = number(find(headers, RESUMED_COUNT)?)?;
        Some(Position { token, count })
    }

    /// The place before the first message of a response. `None` if the stream cannot be resumed.
    pub(crate) fn start(headers: &Metadata) -> Option<Position> {
        let token = find(headers, TOKEN)?.to_vec();
        Some(Position { token, count: 0 })
    }

    /// The headers of a request for this position: names and values.
    pub(crate) fn request_headers(&self) -> [(&'static str, Vec<u8>); 2] {
        let count = self.count.to_string().into_bytes();
        [(TOKEN, self.token.clone()), (COUNT, count)]
    }

    /// The headers of a response: the position that was asked for, and the place before the first
    /// message, both if there are any.
    #[cfg(feature = "sources")]
    pub(crate) fn response_headers(asked: Option<&Position>, token: Option<&[u8]>) -> Metadata {
        let mut headers = MetadataBuilder::new();
        let mut add = |name: &str, value: &[u8]| {
            let added = headers.add_bytes(name, value);
            added.expect("bytes are a value of a name with `-bin`");
        };
        if let Some(token) = token {
            add(TOKEN, token);
        }
        if let Some(asked) = asked {
            add(RESUMED_TOKEN, &asked.token);
            let added = headers.add_str(RESUMED_COUNT, &asked.count.to_string());
            added.expect("digits are a value");
        }
        headers.build()
    }
}

fn find<'a>(headers: &'a Metadata, name: &str) -> Option<&'a [u8]> {
    let mut all = headers.iter();
    all.find_map(|(key, value)| (key == name).then_some(value))
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(feature = "sources")]
fn invalid(name: &str, what: &str, other: &str) -> Status {
    let text = format!("the header {name} {what} {other}");
    Status::invalid_argument(text.trim_end())
}

#[cfg(all(test, feature = "sources"))]
mod tests {
    use grpcio::RpcStatusCode;

    use super::*;

    fn headers(all: &[(&str, &[u8])]) -> Metadata {
        let mut headers = MetadataBuilder::new();
        for (name, value) in all {
            match name.ends_with("-bin") {
                true => headers.add_bytes(name, value),
                false => headers.add_str(name, std::str::from_utf8(value).unwrap()),
            }
            .unwrap();
        }
        headers.build()
    }

    #[test]
    fn a_position_travels_there_and_back() {
        let position = Position {
            token: vec![0, 255],
            count: 7,
        };
        let asked = position.request_headers();
        let asked: Vec<_> = asked.iter().map(|(n, v)| (*n, &v[..])).collect();
        let asked = headers(&asked);
        assert_eq!(Position::requested(&asked).unwrap(), Some(position.clone()));
        assert_eq!(Position::resumed(&asked), None, "a reflection is no echo");
        let response = Position::response_headers(Some(&position), Some(b"new"));
        assert_eq!(Position::resumed(&response), Some(position));
        let start = Position::start(&response).unwrap();
        assert_eq!((&start.token[..], start.count), (&b"new"[..], 0));
        let none = Position::response_headers(None, None);
        assert!(none.is_empty() && Position::start(&none).is_none());
        assert_eq!(Position::requested(&none).unwrap(), None);
    }

    #[test]
    fn a_broken_position_is_refused_by_the_name_of_its_header() {
        let long = [1; MAX_TOKEN_BYTES + 1];
        for (broken, name) in [
            (&[(TOKEN, &b"t"[..])][..], COUNT),
            (&[(COUNT, b"1")], TOKEN),
            (&[(TOKEN, b"t"), (COUNT, b"-1")], COUNT),
            (&[(TOKEN, b"t"), (COUNT, b"18446744073709551616")], COUNT),
            (&[(TOKEN, &long), (COUNT, b"1")], TOKEN),
        ] {
            let error = Position::requested(&headers(broken)).unwrap_err();
            assert_eq!(error.code(), RpcStatusCode::INVALID_ARGUMENT);
            assert!(error.message().contains(name), "{error}");
        }
    }
}
