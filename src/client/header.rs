//! Headers that a user adds to every call: `name:value`, checked so that sending them cannot fail.

use std::fmt;
use std::str::FromStr;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine;
use grpcio::{Metadata, MetadataBuilder};

/// Base64 as people paste it, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Names that gRPC gives a meaning of its own, beside those that begin with `grpc-`.
const RESERVED: [&str; 4] = ["content-type", "host", "te", "user-agent"];

/// A header (gRPC: metadata). Its value, which may be a secret, does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: Value,
}

#[derive(Clone, PartialEq, Eq)]
enum Value {
    Text(String),
    /// Of names that end with `-bin`.
    Bytes(Vec<u8>),
}

/// Why a text is no [`Header`]. It does not repeat the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is no colon.
    #[error("a header is `name:value`; here is no colon")]
    NoColon,
    /// The name has characters that it cannot have.
    #[error("`{0}` is no name of a header: it has letters, digits, `-`, `_` and `.` only")]
    BadName(String),
    /// gRPC sets it itself.
    #[error("`{0}` is set by gRPC itself")]
    Reserved(String),
    /// The value has characters that it cannot have.
    #[error(
        "the value of `{0}` is not printable ASCII; for others, give the name the ending `-bin` and the \
         value in base64"
    )]
    BadValue(String),
    /// The value of a `-bin` header is not base64.
    #[error("the value of `{0}` is not base64, as `-bin` wants it")]
    NotBase64(String),
}

impl FromStr for Header {
    type Err = HeaderError;

    /// `name:value`; the name in any case, and with the ending `-bin` the value in base64.
    fn from_str(text: &str) -> Result<Header, HeaderError> {
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

/// The name in lower case.
fn checked_name(name: &str) -> Result<String, HeaderError> {
    let name = name.to_ascii_lowercase();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(legal) {
        return Err(HeaderError::BadName(name));
    }
    if name.starts_with("grpc-") || RESERVED.contains(&name.as_str()) {
        return Err(HeaderError::Reserved(name));
    }
    Ok(name)
}

impl Header {
    /// A header. With a name that ends with `-bin` the value may be any bytes, which gRPC sends as
    /// base64; with another name it must be printable ASCII.
    ///
    /// # Errors
    /// When the name or the value has characters that it cannot have, or gRPC sets the header itself.
    pub fn new(name: &str, value: impl Into<Vec<u8>>) -> Result<Header, HeaderError> {
        let (name, value) = (checked_name(name)?, value.into());
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

    /// In lower case, as it is sent.
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

/// The headers for grpcio.
pub(super) fn metadata<'a>(headers: impl IntoIterator<Item = &'a Header>) -> Metadata {
    let mut builder = MetadataBuilder::new();
    for Header { name, value } in headers {
        let added = match value {
            Value::Text(text) => builder.add_str(name, text),
            Value::Bytes(bytes) => builder.add_bytes(name, bytes),
        };
        added.expect("a header is checked when it is parsed");
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> (String, Vec<u8>) {
        let header: Header = text.parse().unwrap();
        let metadata = metadata(&[header]);
        let (name, value) = metadata.get(0).unwrap();
        (name.into(), value.into())
    }

    #[test]
    fn what_people_type() {
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
    fn what_is_wrong_is_named_and_the_value_is_not() {
        for (text, why) in [
            ("secret", "no colon"),
            (":secret", "no name"),
            ("a b:secret", "`a b` is no name"),
            ("grpc-timeout:secret", "set by gRPC"),
            ("Content-Type:secret", "set by gRPC"),
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
}
