//! The limits of a server's connections, which the C-core keeps: what they are, and how it is told.
//! Those of streams are the engine's.

use std::ffi::CStr;
use std::time::Duration;

use grpcio::{ChannelBuilder, ResourceQuota};

use crate::keepalive::{permit_pings, Keepalive};

/// Limits of each connection, and of the memory of all; `None` is no limit. The C-core counts in
/// milliseconds, of which it can tell 24 days; more is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How old one may get, give or take a tenth, by chance. Its client is told to go on over
    /// another one; open streams go on.
    pub max_age: Option<Duration>,
    /// How long open streams may go on over one that has reached that age; then it is cut, and
    /// they end with UNAVAILABLE.
    pub age_grace: Option<Duration>,
    /// How long one may be without a stream before it is closed.
    pub max_idle: Option<Duration>,
    /// Find out whether clients are still there. `None` leaves the C-core's: after two hours of
    /// silence.
    pub keepalive: Option<Keepalive>,
    /// How often clients may ping. One that does more often loses its connection.
    pub permitted_pings: Duration,
    /// Memory that the C-core may take for connections and calls, in bytes, as far as it counts
    /// it: buffers that it reads into, and what it holds for each call and connection, but no
    /// responses that wait to be sent. Above it new connections are closed at once, idle ones are
    /// told to go, and then streams are ended, one after the other, by chance.
    pub memory_quota: Option<usize>,
}

impl Default for ConnectionLimits {
    /// No limits; pings every 10 s are fine, which is as often as a client in Go can.
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            max_age: None,
            age_grace: None,
            max_idle: None,
            keepalive: None,
            permitted_pings: Duration::from_secs(10),
            memory_quota: None,
        }
    }
}

impl ConnectionLimits {
    pub(super) fn apply(&self, builder: ChannelBuilder) -> ChannelBuilder {
        let mut builder = permit_pings(builder, self.permitted_pings);
        for (name, limit) in [
            (c"grpc.max_connection_age_ms", self.max_age),
            (c"grpc.max_connection_age_grace_ms", self.age_grace),
            (c"grpc.max_connection_idle_ms", self.max_idle),
        ] {
            builder = with_limit(builder, name, limit);
        }
        if let Some(keepalive) = self.keepalive {
            builder = keepalive.of_either(builder);
        }
        if let Some(bytes) = self.memory_quota {
            builder = builder.set_resource_quota(ResourceQuota::new(None).resize_memory(bytes));
        }
        builder
    }
}

fn with_limit(builder: ChannelBuilder, name: &CStr, limit: Option<Duration>) -> ChannelBuilder {
    match limit {
        Some(limit) => {
            let milliseconds = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
            builder.raw_cfg_int(name.to_owned(), milliseconds)
        }
        None => builder,
    }
}
