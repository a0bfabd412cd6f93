//! The limits of a server's streams, beyond how many there may be: what they are, and what a call
//! is told that one of them refuses. They are kept elsewhere: who may open a stream in `peers`, how
//! long one may go on in `overseer`.

use std::fmt;
use std::time::Duration;

use grpcio::{RpcStatus, RpcStatusCode};
use humantime::format_duration;

/// Limits of a server's streams; `None` is no limit, and costs nothing.
///
/// A peer is an IPv4 address, or the /64 of an IPv6 address: as much as one customer of a provider
/// has, who could otherwise be as many peers as there are. All that come over Unix-domain sockets
/// are one peer, and so are all clients behind one proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most streams open at once of one peer; a call beyond them ends with RESOURCE_EXHAUSTED
    /// at once.
    pub max_streams_per_peer: Option<u32>,
    /// How often a peer may call; a call beyond that ends with RESOURCE_EXHAUSTED at once.
    pub rate_per_peer: Option<Rate>,
    /// How old a stream may get, give or take a tenth, by chance, so that streams that began
    /// together do not end together. One that is older makes no more responses; its reader gets
    /// those that were made, then UNAVAILABLE. A reader that has not read them after 5 s more
    /// loses the stream.
    pub max_stream_age: Option<Duration>,
    /// How long a reader may take nothing of what waits for it. One that takes longer, up to a
    /// quarter, loses its stream: it ends with UNAVAILABLE for a reader that goes on within the
    /// last eighth of the timeout, and is cancelled for one that does not.
    pub write_stall_timeout: Option<Duration>,
}

impl Limits {
    /// True when it matters who calls.
    pub(super) fn are_per_peer(&self) -> bool {
        self.max_streams_per_peer.is_some() || self.rate_per_peer.is_some()
    }
}

/// So many calls in so much time, on average, and how many of them may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls in `per`. At least 1.
    pub calls: u32,
    /// The time that they are for.
    pub per: Duration,
    /// The most calls at once, of a peer that made none for a while. At least 1.
    pub burst: u32,
}

impl Rate {
    /// So many calls a second, and as many at once.
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
    /// The server drains; this is what it tells.
    Draining(RpcStatus),
    /// So many streams are open, which is the limit.
    Streams(usize),
    /// So many streams of this peer are open, which is the limit.
    StreamsOfPeer(u32),
    /// The peer calls more often than it may.
    RateOfPeer(Rate),
}

impl Refusal {
    /// The same as a label.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Refusal::Draining(_) => "draining",
            Refusal::Streams(_) => "max_streams",
            Refusal::StreamsOfPeer(_) => "max_streams_per_peer",
            Refusal::RateOfPeer(_) => "rate_per_peer",
        }
    }

    /// What the call ends with.
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
