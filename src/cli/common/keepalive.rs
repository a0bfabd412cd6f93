//! The keepalive flags of a program as one value.

use std::time::Duration;

use crate::keepalive::Keepalive;

/// The value of `--keepalive-interval` and `--keepalive-timeout`; `None` without an interval.
pub(in crate::cli) fn keepalive(
    interval: Option<Duration>,
    timeout: Option<Duration>,
) -> Option<Keepalive> {
    interval.map(|interval| Keepalive {
        interval,
        timeout: timeout.unwrap_or(Keepalive::DEFAULT_TIMEOUT),
    })
}
