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
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(legal) {
            return Err(HeaderError::BadName(name));
        }
        if name.starts_with("grpc-") || RESERVED.contains(&name.as_str()) {
            return Err(HeaderError::Reserved(name));
        }
        let value = if name.ends_with("-bin") {
            match BASE64.decode(value) {
                Ok(bytes) => Value::Bytes(bytes),
                Err(_) => return Err(HeaderError::NotBase64(name)),
            }
        } else if value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            Value::Text(value.into())
        } else {
            return Err(HeaderError::BadValue(name));
        };
        Ok(Header { name, value })
    }
}

impl Header {
    /// In lower case, as it is sent.
    pub fn name(&self) -> &str {
        &self.name
    }

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

/// What grpcio sends.
pub(super) fn metadata<'a>(headers: impl Iterator<Item = &'a Header>) -> Metadata {
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
        let metadata = metadata([header].iter());
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
