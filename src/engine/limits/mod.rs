//! The limits of a server's streams, beyond their number: by peer, by age, by stalled readers.
//!
//! `stream_table` and `registry` hold the open streams and admit new ones; `peers` counts by peer.
//! `stream_age` ends streams that are too old, and `write_stall` streams whose readers stall;
//! `enforcer` runs both.

mod enforcer;
mod peers;
mod registry;
#[cfg(test)]
mod registry_tests;
mod stream_age;
mod stream_table;
mod write_stall;

use std::fmt;
use std::time::Duration;

use grpcio::{RpcStatus, RpcStatusCode};
use humantime::format_duration;

pub(super) use enforcer::LimitEnforcer;
pub(crate) use peers::Peer;
pub(super) use registry::{OpenStream, Registration};
pub(super) use stream_table::{Permit, StreamTable};

/// Limits of a server's streams; `None` is no limit, and costs nothing.
///
/// A peer is an IPv4 address, or the /64 of an IPv6 address: a provider gives one customer that
/// many addresses, and they would otherwise be as many peers. All clients over Unix-domain sockets
/// are one peer, and so are all clients behind one proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most streams open at once of one peer; a call beyond them ends with RESOURCE_EXHAUSTED
    /// at once.
    pub max_streams_per_peer: Option<u32>,
    /// The most calls of one peer in a time; a call beyond them ends with RESOURCE_EXHAUSTED at
    /// once.
    pub rate_per_peer: Option<Rate>,
    /// The longest life of a stream, give or take a tenth by chance, so that streams that began
    /// together do not end together. An older stream makes no more responses; its reader gets those
    /// that were made, then UNAVAILABLE. A reader that has not read them after 5 s more is cut off.
    pub max_stream_age: Option<Duration>,
    /// How long a reader may take none of the messages that wait for it. After that, or up to a
    /// quarter later, its stream ends with UNAVAILABLE; a reader that does not even read this
    /// within an eighth of the timeout is cut off.
    pub write_stall_timeout: Option<Duration>,
}

impl Limits {
    /// True when a limit counts by peer.
    pub(super) fn are_per_peer(&self) -> bool {
        self.max_streams_per_peer.is_some() || self.rate_per_peer.is_some()
    }
}

/// A number of calls in a time, on average, and how many of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls in `per`. At least 1.
    pub calls: u32,
    /// The time.
    pub per: Duration,
    /// The most calls at once of a peer that made none for a while. At least 1.
    pub burst: u32,
}

impl Rate {
    /// This many calls a second, and as many at once.
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

/// Why a call is not served.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The server drains, and answers with this.
    Draining(RpcStatus),
    /// As many streams are open as may be.
    Streams(usize),
    /// As many streams of the peer are open as may be.
    StreamsOfPeer(u32),
    /// The peer calls more often than it may.
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
