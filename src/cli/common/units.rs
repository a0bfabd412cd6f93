//! Parses durations, rates and sizes: `250ms`, `1m 30s`, `10/s`, `64KiB`. The error of each function is a
//! message for the user. It must not know the flags.

use std::time::Duration;

use bytesize::ByteSize;

use crate::engine::Rate;
use crate::keepalive::Keepalive;

/// `250ms`, `1s`, `1m 30s`; also a bare `0`.
pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write a duration as in `250ms`, `1s` or `1m 30s`"))
}

/// A duration that is not zero.
pub(in crate::cli) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be longer than 0".into()),
        duration => Ok(duration),
    }
}

/// A duration of the C-core, which counts in milliseconds, up to 24 days.
pub(in crate::cli) fn milliseconds(text: &str) -> Result<Duration, String> {
    const MAX: Duration = Duration::from_secs(24 * 24 * 3600);
    match duration(text)? {
        duration if duration > MAX => Err("it must be no longer than 24 days".into()),
        duration => Ok(duration),
    }
}

/// As [`milliseconds`], and at least 1 ms.
pub(in crate::cli) fn positive_milliseconds(text: &str) -> Result<Duration, String> {
    match milliseconds(text)? {
        duration if duration.as_millis() == 0 => Err("it must be 1ms or longer".into()),
        duration => Ok(duration),
    }
}

/// As [`milliseconds`], and at least the shortest interval of a [`Keepalive`].
pub(in crate::cli) fn keepalive_interval(text: &str) -> Result<Duration, String> {
    match milliseconds(text)? {
        duration if duration < Keepalive::MIN_INTERVAL => Err("it must be 1s or longer".into()),
        duration => Ok(duration),
    }
}

/// `10` or `10/s`, `600/m`, `1000/h`; the burst is the same number.
pub(in crate::cli) fn rate(text: &str) -> Result<Rate, String> {
    let (calls, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => 0,
    };
    match calls.parse() {
        Ok(calls) if calls > 0 && seconds > 0 => Ok(Rate {
            per: Duration::from_secs(seconds),
            ..Rate::per_second(calls)
        }),
        _ => Err("write a rate as in `10`, `10/s`, `600/m` or `1000/h`".into()),
    }
}

/// A size of memory; with less than 1 MiB no client could connect.
pub(in crate::cli) fn memory(text: &str) -> Result<usize, String> {
    match usize::try_from(bytes(text)?) {
        Ok(bytes) if bytes >= MIN_MEMORY => Ok(bytes),
        Ok(_) => Err("it must be 1MiB or more".into()),
        Err(_) => Err("it is more than this machine can address".into()),
    }
}

const MIN_MEMORY: usize = 1 << 20;

/// `100`, `64KiB`, `1 MB`: bytes, with 1024 to the KiB and 1000 to the kB.
/// A message for the user if it is no size, or more than 4 GiB, the limit of a gRPC message.
pub(in crate::cli) fn size(text: &str) -> Result<usize, String> {
    u32::try_from(bytes(text)?)
        .map(|bytes| bytes as usize)
        .map_err(|_| "it is more than 4 GiB, the limit of a gRPC message".into())
}

fn bytes(text: &str) -> Result<u64, String> {
    let size: Result<ByteSize, _> = text.parse();
    size.map(|size| size.as_u64())
        .map_err(|_| "write a size as in `100`, `64KiB` or `1MB`".into())
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
    fn durations_of_the_c_core() {
        assert_eq!(milliseconds("0s"), Ok(Duration::ZERO));
        assert!(milliseconds("25 days").unwrap_err().contains("24 days"));
        assert!(positive_milliseconds("1us").unwrap_err().contains("1ms"));
        assert!(keepalive_interval("999ms").unwrap_err().contains("1s"));
        assert!(keepalive_interval("1s").is_ok());
    }

    #[test]
    fn rates() {
        assert_eq!(rate("10"), Ok(Rate::per_second(10)));
        assert_eq!(rate("10/s"), Ok(Rate::per_second(10)));
        let a_minute = rate("600/m").unwrap();
        assert_eq!(a_minute.per, Duration::from_secs(60));
        assert_eq!((a_minute.calls, a_minute.burst), (600, 600));
        for wrong in ["", "0", "-1", "10/d", "often", "10/", "1.5/s"] {
            assert!(rate(wrong).unwrap_err().contains("write a rate"), "{wrong}");
        }
    }

    #[test]
    fn memory_may_be_more_than_a_message() {
        assert_eq!(memory("8GiB"), Ok(8 << 30));
        assert!(memory("64KiB").unwrap_err().contains("1MiB"));
        assert!(memory("much").unwrap_err().contains("write a size"));
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
