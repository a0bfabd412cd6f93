//! Statuses as a server may send them, and as a client gets them: codes that gRPC knows, texts that
//! every client takes, and the headers and trailers that travel with a status.
//!
//! grpcio has no way for headers and trailers alone, but it hands on the details of a status. The
//! patch `0011-metadata-of-a-status` in `scripts/ccore` makes metadata of details that begin with
//! [`MARK`], and details of metadata. The wire carries the metadata alone.

use grpcio::{Metadata, MetadataBuilder, RpcStatus, RpcStatusCode};

use crate::c_core;

/// What packed metadata begin with.
const MARK: &[u8] = b"\xfffanstream metadata\n";

const HEADER: u8 = b'h';
const TRAILER: u8 = b't';

const DETAILS: &str = "grpc-status-details-bin";

/// The code that the patch gives for OK, so that grpcio looks at the details.
const OK_WITH_METADATA: i32 = -1;

/// The most bytes of a status's text, percent-encoded, and of its details. Clients of gRPC take
/// 8 KiB of trailers altogether (`grpc.max_metadata_size`), in base64 where they are binary.
const MAX_TEXT_BYTES: usize = 3 * 1024;
const MAX_DETAILS_BYTES: usize = 3 * 1024;

/// Whether this C-core has the patch.
pub(crate) fn has_metadata() -> bool {
    c_core::knows("status_metadata")
}

/// The status of a call that has failed: OK would tell its client that the stream is complete.
pub(crate) fn failure(status: RpcStatus, who: &str) -> RpcStatus {
    match status.code() {
        RpcStatusCode::OK => {
            let text = format!("{who} failed with the status OK");
            RpcStatus::with_message(RpcStatusCode::INTERNAL, text)
        }
        _ => status,
    }
}

/// The status with a code that gRPC knows, and cut to what every client takes: a longer one would
/// reach it as another status. Details are left out as a whole.
pub(crate) fn sendable(status: RpcStatus) -> RpcStatus {
    let text = cut(status.message());
    let has_long_details = status.details().len() > MAX_DETAILS_BYTES;
    let code = known(status.code());
    if text.len() == status.message().len() && !has_long_details && code == status.code() {
        return status;
    }
    let details = match has_long_details {
        true => Vec::new(),
        false => status.details().to_vec(),
    };
    RpcStatus::with_details(code, text, details)
}

/// gRPC treats a code that it does not know as UNKNOWN.
pub(crate) fn known(code: RpcStatusCode) -> RpcStatusCode {
    match i32::from(code) {
        0..=16 => code,
        _ => RpcStatusCode::UNKNOWN,
    }
}

/// The text if it is short enough, or its beginning and three dots.
fn cut(text: &str) -> String {
    // Percent-encoding takes three bytes for each that is not printable ASCII, and for `%`.
    let bytes = |c: char| match c {
        ' '..='~' if c != '%' => 1,
        _ => 3 * c.len_utf8(),
    };
    if text.chars().map(bytes).sum::<usize>() <= MAX_TEXT_BYTES {
        return text.to_owned();
    }
    let mut left = MAX_TEXT_BYTES - "...".len();
    let fits = |c: &char| match left.checked_sub(bytes(*c)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let mut text: String = text.chars().take_while(fits).collect();
    text.push_str("...");
    text
}

/// Adds headers and trailers to a status, for the patched C-core.
pub(super) fn with_metadata(
    status: RpcStatus,
    headers: Option<&Metadata>,
    trailers: Option<&Metadata>,
) -> RpcStatus {
    let is_marked = status.details().starts_with(MARK);
    if headers.is_none() && trailers.is_none() && !is_marked {
        return status;
    }
    let mut packed = MARK.to_vec();
    for (kind, metadata) in [(HEADER, headers), (TRAILER, trailers)] {
        for (key, value) in metadata.into_iter().flatten() {
            if !is_grpcs(key) {
                append(kind, key, value, &mut packed);
            }
        }
    }
    if !status.details().is_empty() {
        append(TRAILER, DETAILS, status.details(), &mut packed);
    }
    RpcStatus::with_details(status.code(), status.message().into(), packed)
}

/// Whether gRPC or HTTP sets an entry of this key itself.
fn is_grpcs(key: &str) -> bool {
    key.starts_with("grpc-") || ["content-type", "content-length", "te"].contains(&key)
}

fn append(kind: u8, key: &str, value: &[u8], packed: &mut Vec<u8>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    packed.push(kind);
    packed.extend_from_slice(&length(key.as_bytes()));
    packed.extend_from_slice(&length(value));
    packed.extend_from_slice(key.as_bytes());
    packed.extend_from_slice(value);
}

/// A status as a client gets it. Calls of generated code do not ask for the metadata.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) status: RpcStatus,
    /// Only after a failure.
    pub(super) headers: Metadata,
    pub(super) trailers: Metadata,
}

/// Takes the metadata out of a status that grpcio has received.
pub(super) fn received(status: RpcStatus) -> Received {
    let (mut headers, mut trailers) = (MetadataBuilder::new(), MetadataBuilder::new());
    let packed = status.details().strip_prefix(MARK);
    let Some(packed) = packed.filter(|_| has_metadata()) else {
        let code = known(status.code());
        return Received {
            status: match code == status.code() {
                true => status,
                false => renamed(&status, code, status.details().to_vec()),
            },
            headers: headers.build(),
            trailers: trailers.build(),
        };
    };
    let mut details = Vec::new();
    for (kind, key, value) in entries(packed) {
        if key == DETAILS {
            details = value.to_vec();
        }
        add(
            match kind {
                HEADER => &mut headers,
                _ => &mut trailers,
            },
            key,
            value,
        );
    }
    let code = match i32::from(status.code()) {
        OK_WITH_METADATA => RpcStatusCode::OK,
        _ => known(status.code()),
    };
    Received {
        status: renamed(&status, code, details),
        headers: headers.build(),
        trailers: trailers.build(),
    }
}

fn renamed(status: &RpcStatus, code: RpcStatusCode, details: Vec<u8>) -> RpcStatus {
    let (text, why) = (status.message(), status.debug_error_string());
    RpcStatus::with_details_and_error_string(code, text.into(), details, why.into())
}

/// Entries that grpcio refuses are left out: no API could have sent them.
fn add(metadata: &mut MetadataBuilder, key: &str, value: &[u8]) {
    let _refused = match (key.ends_with("-bin"), std::str::from_utf8(value)) {
        (true, _) => metadata.add_bytes(key, value).is_err(),
        (false, Ok(text)) => metadata.add_str(key, text).is_err(),
        (false, Err(_)) => true,
    };
}

/// The entries of packed metadata: kind, key and value. It ends at one that is cut off.
fn entries(packed: &[u8]) -> impl Iterator<Item = (u8, &str, &[u8])> {
    let mut rest = packed;
    std::iter::from_fn(move || {
        let (&kind, after) = rest.split_first()?;
        let (key_length, after) = after.split_first_chunk::<4>()?;
        let (value_length, after) = after.split_first_chunk::<4>()?;
        let (key, after) = after.split_at_checked(u32::from_be_bytes(*key_length) as usize)?;
        let (value, after) = after.split_at_checked(u32::from_be_bytes(*value_length) as usize)?;
        rest = after;
        Some((kind, std::str::from_utf8(key).ok()?, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: i32, text: &str, details: &[u8]) -> RpcStatus {
        RpcStatus::with_details(code, text.into(), details.to_vec())
    }

    #[test]
    fn codes_that_grpc_does_not_know_are_unknown() {
        for (sent, expected) in [(-5, 2), (99, 2), (17, 2), (16, 16), (1, 1)] {
            let code = sendable(status(sent, "why", &[])).code();
            assert_eq!(i32::from(code), expected);
            let code = received(status(sent, "why", &[])).status.code();
            assert_eq!(i32::from(code), expected);
        }
    }

    #[test]
    fn every_client_takes_the_text_of_a_status() {
        let short = "a".repeat(MAX_TEXT_BYTES);
        assert_eq!(sendable(status(13, &short, b"x")).message(), short);
        for long in ["a".repeat(9_000), "€".repeat(9_000), "%".repeat(9_000)] {
            let sent = sendable(status(13, &long, b"x"));
            let kept = sent.message().strip_suffix("...").unwrap();
            assert!(long.starts_with(kept) && kept.len() > 900);
            assert_eq!((i32::from(sent.code()), sent.details()), (13, &b"x"[..]));
        }
        let sent = sendable(status(13, "why", &[1; 9_000]));
        assert_eq!((sent.message(), sent.details()), ("why", &[][..]));
    }

    #[test]
    fn a_failure_is_not_ok() {
        let failed = failure(RpcStatus::ok(), "a check");
        assert_eq!(failed.code(), RpcStatusCode::INTERNAL);
        assert_eq!(failed.message(), "a check failed with the status OK");
        assert_eq!(i32::from(failure(status(5, "", &[]), "a check").code()), 5);
    }

    #[test]
    fn metadata_travel_with_a_status() {
        let mut headers = MetadataBuilder::new();
        headers.add_str("a", "1").unwrap();
        let mut trailers = MetadataBuilder::new();
        trailers.add_bytes("b-bin", &[0, 255]).unwrap();
        trailers.add_str("grpc-status", "0").unwrap();
        let (headers, trailers) = (headers.build(), trailers.build());
        let sent = with_metadata(status(5, "why", b"x"), Some(&headers), Some(&trailers));
        let packed = sent.details().strip_prefix(MARK).unwrap();
        let found: Vec<_> = entries(packed).collect();
        let expected: [(u8, &str, &[u8]); 3] = [
            (HEADER, "a", b"1"),
            (TRAILER, "b-bin", &[0, 255]),
            (TRAILER, DETAILS, b"x"),
        ];
        assert_eq!(found, expected);
        for length in 0..packed.len() {
            assert!(entries(&packed[..length]).count() < 3);
        }
    }

    #[test]
    fn details_that_look_like_packed_metadata_stay_details() {
        let plain = with_metadata(status(5, "", b"x"), None, None);
        assert_eq!(plain.details(), b"x");
        let marked = [MARK, b"anything"].concat();
        let sent = with_metadata(status(5, "", &marked), None, None);
        let packed = sent.details().strip_prefix(MARK).unwrap();
        let found: Vec<_> = entries(packed).collect();
        assert_eq!(found, [(TRAILER, DETAILS, &marked[..])]);
    }
}
