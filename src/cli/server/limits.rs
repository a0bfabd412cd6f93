//! The server's flags for limits of peers, streams and connections, and for keepalive. It must not
//! know how limits are enforced.

use std::time::Duration;

use clap::Args;

use crate::cli::common::{keepalive, units};
use crate::engine::{Limits, Rate};
use crate::server::connections::{ConnectionLimits, MemoryQuota};

/// Limits of a peer, a stream and a connection. All but the memory quota are off by default.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct ServerLimitsArgs {
    /// Most open streams of one peer (an IPv4 address, or the /64 of an IPv6 address); a further call
    /// ends with RESOURCE_EXHAUSTED [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_streams_per_peer: Option<u32>,

    /// Most calls of a peer: 10 or 10/s, 600/m, 1000/h; a further call ends with RESOURCE_EXHAUSTED
    /// [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = units::rate)]
    pub rate_per_peer: Option<Rate>,

    /// Most calls of a peer at once after a pause [default: the number of --rate-per-peer]
    #[arg(long, value_name = "N", requires = "rate_per_peer",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub burst_per_peer: Option<u32>,

    /// Longest life of a stream, give or take 10 %; then it ends with UNAVAILABLE, and the client may
    /// call again [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = units::positive_duration)]
    pub max_stream_age: Option<Duration>,

    /// Longest time in which a client reads nothing although responses wait; then its stream ends
    /// [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = units::positive_duration)]
    pub write_stall_timeout: Option<Duration>,

    /// Longest life of a connection, give or take 10 %; then its client opens another one [default: no
    /// limit]
    #[arg(long, value_name = "DURATION", value_parser = units::positive_milliseconds)]
    pub max_connection_age: Option<Duration>,

    /// Time for open streams to finish on a connection of that age; then they end with UNAVAILABLE
    /// [default: no limit]
    #[arg(long, value_name = "DURATION", requires = "max_connection_age",
          value_parser = units::milliseconds)]
    pub max_connection_age_grace: Option<Duration>,

    /// Longest time of a connection without a stream [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = units::positive_milliseconds)]
    pub max_connection_idle: Option<Duration>,

    /// Ping a client that was silent for this long; 1s or more [default: 2h]
    #[arg(long, value_name = "DURATION", value_parser = units::keepalive_interval)]
    pub keepalive_interval: Option<Duration>,

    /// Wait this long for the answer to a ping; then the connection is closed [default: 20s]
    #[arg(long, value_name = "DURATION", requires = "keepalive_interval",
          value_parser = units::positive_milliseconds)]
    pub keepalive_timeout: Option<Duration>,

    /// Shortest interval of a client's pings; a client that pings more often loses its connection
    /// (`too_many_pings`)
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = units::milliseconds)]
    pub keepalive_permit: Duration,

    /// Memory for connections, calls and requests: a SIZE, `auto` (a quarter of the machine's memory
    /// or of the control group's limit) or `none`
    ///
    /// Above it the server closes new connections, then ends streams with RESOURCE_EXHAUSTED. Responses
    /// that wait to be sent are not counted.
    #[arg(long, value_name = "SIZE", default_value = "auto", value_parser = memory_quota)]
    pub memory_quota: MemoryQuota,
}

impl ServerLimitsArgs {
    pub(super) fn of_streams(&self) -> Limits {
        let with_burst = |rate: Rate| Rate {
            burst: self.burst_per_peer.unwrap_or(rate.burst),
            ..rate
        };
        Limits {
            max_streams_per_peer: self.max_streams_per_peer,
            rate_per_peer: self.rate_per_peer.map(with_burst),
            max_stream_age: self.max_stream_age,
            write_stall_timeout: self.write_stall_timeout,
        }
    }

    pub(super) fn of_connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            max_age: self.max_connection_age,
            age_grace: self.max_connection_age_grace,
            max_idle: self.max_connection_idle,
            keepalive: keepalive(self.keepalive_interval, self.keepalive_timeout),
            permitted_pings: self.keepalive_permit,
            memory_quota: self.memory_quota,
        }
    }
}

fn memory_quota(text: &str) -> Result<MemoryQuota, String> {
    match text {
        "auto" => Ok(MemoryQuota::Automatic),
        "none" => Ok(MemoryQuota::Unlimited),
        size => units::memory(size)
            .map(MemoryQuota::Bytes)
            .map_err(|error| format!("{error}; or write `auto` or `none`")),
    }
}
