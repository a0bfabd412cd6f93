//! Durations and sizes as people write them: `250ms`, `1m 30s`, `64KiB`.

use std::time::Duration;

use bytesize::ByteSize;

/// `250ms`, `1s`, `1m 30s`; also a bare `0`.
///
/// # Errors
/// A text for the user when it is none of these.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a duration as in `250ms`, `1s` or `1m 30s`"))
}

/// A duration that is not zero.
///
/// # Errors
/// A text for the user when it is none.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be longer than 0".into()),
        duration => Ok(duration),
    }
}

/// `100`, `64KiB`, `1 MB`: bytes, with 1024 to the KiB and 1000 to the kB.
///
/// # Errors
/// A text for the user when it is no size, or more than the 4 GiB of a gRPC message.
pub fn size(text: &str) -> Result<usize, String> {
    let size: ByteSize = text
        .parse()
        .map_err(|_| "write a size as in `100`, `64KiB` or `1MB`".to_string())?;
    u32::try_from(size.as_u64())
        .map(|bytes| bytes as usize)
        .map_err(|_| "it is more than the 4 GiB that a gRPC message can have".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert!(duration("5").unwrap_err().contains("write a duration"));
        assert!(duration("-1s").is_err());
        assert!(duration("soon").is_err());
        assert!(positive_duration("0s").unwrap_err().contains("longer"));
    }

    #[test]
    fn sizes() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("65536"), Ok(65536));
        assert_eq!(size("64KiB"), Ok(65536));
        assert_eq!(size("1MB"), Ok(1_000_000));
        assert!(size("a lot").unwrap_err().contains("write a size"));
        assert!(size("-1").is_err());
        assert!(size("5GiB").unwrap_err().contains("4 GiB"));
    }
}
