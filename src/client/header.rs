//! User-defined headers of a call, parsed from `name:value` and validated, so that sending them
//! cannot fail. It must not know calls.

use std::fmt;
use std::str::FromStr;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine;
use grpcio::{Metadata, MetadataBuilder};

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Names that gRPC or HTTP/2 sets, besides those that begin with `grpc-`.
const RESERVED: [&str; 6] = [
    "content-length",
    "content-type",
    "host",
    "te",
    "trailer",
    "user-agent",
];

/// Names that HTTP/2 forbids (RFC 9113, section 8.2.2). A peer may end the call as malformed.
const OF_A_CONNECTION: [&str; 6] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// A header of a call (gRPC: metadata). `Debug` omits the value, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: Value,
}

#[derive(Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    /// The value of a name that ends with `-bin`.
    Bytes(Vec<u8>),
}

/// A text is not a [`Header`]. The error does not contain the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The text has no colon.
    #[error("a header is `name:value`, but this has no colon")]
    NoColon,
    /// The name is empty or has invalid characters.
    #[error(
        "`{0}` is not a valid header name: only letters, digits, `-`, `_` and `.` are allowed"
    )]
    BadName(String),
    /// The name begins with a colon.
    #[error("a header name cannot begin with `:`: HTTP/2 sets such headers itself")]
    Pseudo,
    /// gRPC, or HTTP/2 below it, sets this header.
    #[error("`{0}` is set by gRPC itself, or by HTTP/2 below it")]
    Reserved(String),
    /// The header controls a connection of HTTP/1.
    #[error("`{0}` controls a connection of HTTP/1, and HTTP/2 forbids it")]
    OfConnection(String),
    /// The value has invalid characters.
    #[error(
        "the value of `{0}` is not printable ASCII; for other bytes, use a name that ends with `-bin` and a \
         value in base64"
    )]
    BadValue(String),
    /// The value of a `-bin` header is not base64.
    #[error("the value of `{0}` is not base64, which a name that ends with `-bin` requires")]
    NotBase64(String),
}

impl FromStr for Header {
    type Err = HeaderError;

    /// Parses `name:value`. The name may be in any case. If it ends with `-bin`, the value is
    /// base64.
    fn from_str(text: &str) -> Result<Header, HeaderError> {
        if text.trim_start().starts_with(':') {
            return Err(HeaderError::Pseudo);
        }
        let (name, value) = text.split_once(':').ok_or(HeaderError::NoColon)?;
        let (name, value) = (checked_name(name.trim())?, value.trim());
        if !name.ends_with("-bin") {
            return Header::new(&name, value);
        }
        match BASE64.decode(value) {
            Ok(bytes) => Header::new(&name, bytes),
            Err(_) => Err(HeaderError::NotBase64(name)),
        }
    }
}

/// Returns the name in lower case.
fn checked_name(name: &str) -> Result<String, HeaderError> {
    let name = name.to_ascii_lowercase();
    if name.starts_with(':') {
        return Err(HeaderError::Pseudo);
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(legal) {
        return Err(HeaderError::BadName(name));
    }
    if name.starts_with("grpc-") || RESERVED.contains(&name.as_str()) {
        return Err(HeaderError::Reserved(name));
    }
    if OF_A_CONNECTION.contains(&name.as_str()) {
        return Err(HeaderError::OfConnection(name));
    }
    Ok(name)
}

impl Header {
    /// Makes a header. If the name ends with `-bin`, the value may be any bytes; otherwise it must
    /// be printable ASCII.
    ///
    /// # Errors
    /// [`HeaderError`] if the name or the value has invalid characters, or the header belongs to
    /// gRPC or HTTP.
    pub fn new(name: impl AsRef<str>, value: impl Into<Vec<u8>>) -> Result<Header, HeaderError> {
        let (name, value) = (checked_name(name.as_ref())?, value.into());
        if name.ends_with("-bin") {
            let value = Value::Bytes(value);
            return Ok(Header { name, value });
        }
        let is_printable = value.iter().all(|byte| (b' '..=b'~').contains(byte));
        match String::from_utf8(value) {
            Ok(text) if is_printable => Ok(Header {
                name,
                value: Value::Text(text),
            }),
            _ => Err(HeaderError::BadValue(name)),
        }
    }

    /// Returns the name in lower case, as it is sent.
    pub fn name(&self) -> &str {
        &self.name
    }

    #[cfg(feature = "tls")]
    pub(super) fn authorization(token: &crate::security::Token) -> Header {
        Header {
            name: "authorization".into(),
            value: Value::Text(token.authorization()),
        }
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({}: …)", self.name)
    }
}

/// Converts headers for grpcio, for a call after so many other attempts.
pub(super) fn metadata<'a>(
    headers: impl IntoIterator<Item = &'a Header>,
    attempts: u32,
) -> Metadata {
    let mut builder = MetadataBuilder::new();
    if attempts > 0 {
        // As gRFC A6 says; not on the first attempt.
        let added = builder.add_str("grpc-previous-rpc-attempts", &attempts.to_string());
        added.expect("digits are a valid value");
    }
    for Header { name, value } in headers {
        let added = match value {
            Value::Text(text) => builder.add_str(name, text),
            Value::Bytes(bytes) => builder.add_bytes(name, bytes),
        };
        added.expect("a Header is validated when it is made");
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> (String, Vec<u8>) {
        let header: Header = text.parse().unwrap();
        let metadata = metadata(&[header], 0);
        let (name, value) = metadata.get(0).unwrap();
        (name.into(), value.into())
    }

    #[test]
    fn valid_headers() {
        assert_eq!(sent("X-Tenant: a b"), ("x-tenant".into(), b"a b".to_vec()));
        assert_eq!(sent("a:b:c"), ("a".into(), b"b:c".to_vec()));
        assert_eq!(sent("a:"), ("a".into(), b"".to_vec()));
        for base64 in ["trace-bin: /wAB", "trace-bin:/wAB"] {
            assert_eq!(sent(base64), ("trace-bin".into(), vec![255, 0, 1]));
        }
        for padding in ["a-bin:/w==", "a-bin:/w"] {
            assert_eq!(sent(padding).1, [255]);
        }
    }

    #[test]
    fn errors_name_the_fault_but_not_the_value() {
        for (text, why) in [
            ("secret", "no colon"),
            (":secret", "cannot begin with `:`"),
            (" :path:secret", "cannot begin with `:`"),
            ("a b:secret", "`a b` is not a valid header name"),
            ("a:secr\u{e9}t", "printable"),
            ("a:secret\nb", "printable"),
            ("a-bin:secret!", "not base64"),
        ] {
            let error = text.parse::<Header>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("secr"), "{error}");
        }
        assert!(!format!("{:?}", "a:secret".parse::<Header>()).contains("secret"));
    }

    #[test]
    fn headers_of_grpc_and_http_are_refused() {
        let error = |name: &str| Header::new(name, "x").unwrap_err().to_string();
        for name in RESERVED.iter().chain(&["grpc-timeout", "grpc-"]) {
            let why = format!("`{name}` is set by gRPC itself");
            assert!(error(name).starts_with(&why), "{}", error(name));
            assert!(error(&name.to_uppercase()).starts_with(&why), "{name}");
        }
        for name in OF_A_CONNECTION {
            let why = format!("`{name}` controls a connection of HTTP/1");
            assert!(error(name).starts_with(&why), "{}", error(name));
            let parsed = format!("{name}: close").parse::<Header>();
            assert_eq!(parsed, Err(HeaderError::OfConnection(name.into())));
        }
        for name in [":", ":authority", ":path"] {
            assert_eq!(Header::new(name, "x"), Err(HeaderError::Pseudo));
        }
        assert!(Header::new("x-connection", "close").is_ok());
    }
}
