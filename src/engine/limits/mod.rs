//! The limits of a server's streams: number, peer, age and stalled readers. It must not know how a
//! stream sends.
//!
//! `stream_table` and `registry` hold the open streams and admit new ones; `peers` counts by peer.
//! `enforcer` ends streams that are too old, and streams whose readers stall.

mod enforcer;
mod peers;
mod registry;
#[cfg(test)]
mod registry_tests;
mod stream_table;

use std::fmt;
use std::time::Duration;

use grpcio::{RpcStatus, RpcStatusCode};
use humantime::format_duration;

pub(super) use enforcer::LimitEnforcer;
pub(crate) use peers::Peer;
pub(super) use registry::{OpenStream, Registration};
pub(super) use stream_table::{Permit, StreamTable};

/// Limits of a server's streams. `None` is no limit, and costs nothing.
///
/// A peer is an IPv4 address, or the /64 prefix of an IPv6 address, since providers assign a whole
/// /64 to one customer. All clients over Unix-domain sockets are one peer, and so are all clients
/// behind one proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most open streams of one peer. A call beyond them ends with RESOURCE_EXHAUSTED at once.
    pub max_streams_per_peer: Option<u32>,
    /// The call rate of one peer. A call beyond it ends with RESOURCE_EXHAUSTED at once.
    pub rate_per_peer: Option<Rate>,
    /// The maximum age of a stream, give or take a random tenth, so that streams that began
    /// together do not end together. An older stream makes no more responses; its reader gets the
    /// responses already made, then UNAVAILABLE. A reader that has not read them after 5 s more is
    /// cut off.
    pub max_stream_age: Option<Duration>,
    /// The longest time in which a reader takes no waiting message. After that, or up to a quarter
    /// later, its stream ends with UNAVAILABLE. A reader that does not take this status within an
    /// eighth of the timeout is cut off.
    pub write_stall_timeout: Option<Duration>,
}

impl Limits {
    /// True if a limit counts by peer.
    pub(super) fn are_per_peer(&self) -> bool {
        self.max_streams_per_peer.is_some() || self.rate_per_peer.is_some()
    }
}

/// A call rate: an average, and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls in each `per`. At least 1.
    pub calls: u32,
    /// The period.
    pub per: Duration,
    /// The most calls at once after a pause. At least 1.
    pub burst: u32,
}

impl Rate {
    /// `calls` calls a second, with bursts of the same number.
    pub fn per_second(calls: u32) -> Rate {
        Rate {
            calls,
            per: Duration::from_secs(1),
            burst: calls,
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls per {}", self.calls, format_duration(self.per))
    }
}

/// The reason for refusing a call.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The server drains; the status of the call.
    Draining(RpcStatus),
    /// The server has reached its maximum number of streams.
    Streams(usize),
    /// The peer has reached its maximum number of streams.
    StreamsOfPeer(u32),
    /// The peer exceeds its call rate.
    RateOfPeer(Rate),
}

impl Refusal {
    /// The reason as a metrics label.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Refusal::Draining(_) => "draining",
            Refusal::Streams(_) => "max_streams",
            Refusal::StreamsOfPeer(_) => "max_streams_per_peer",
            Refusal::RateOfPeer(_) => "rate_per_peer",
        }
    }

    /// The status of the refused call.
    pub(super) fn status(self) -> RpcStatus {
        let message = match self {
            Refusal::Draining(status) => return status,
            Refusal::Streams(limit) => {
                format!("{limit} streams are open, which is the limit; try again later")
            }
            Refusal::StreamsOfPeer(limit) => format!(
                "{limit} streams of this peer are open, which is the limit; try again later"
            ),
            Refusal::RateOfPeer(rate) => {
                format!(
                    "this peer calls more often than {rate}, which is the limit; try again later"
                )
            }
        };
        RpcStatus::with_message(RpcStatusCode::RESOURCE_EXHAUSTED, message)
    }
}
