//! Limits of a server's connections and of their memory, as channel arguments of the C-core, which
//! enforces them. Limits of streams are the engine's.

use std::ffi::CStr;
use std::time::Duration;

use grpcio::{ChannelBuilder, ResourceQuota};

use super::memory::memory_limit;
use crate::keepalive::{permit_pings, Keepalive};

/// Limits of each connection, and of the memory of all; `None` is no limit. The C-core counts
/// milliseconds in 31 bits, which is 24 days; a longer limit is cut to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Age at which a connection is closed to new calls, give or take a tenth at random. Its client
    /// opens another connection; open streams go on.
    pub max_age: Option<Duration>,
    /// Time that open streams have left when their connection reaches that age. Then the connection
    /// is closed, and they end with UNAVAILABLE.
    pub age_grace: Option<Duration>,
    /// Time without a stream after which a connection is closed.
    pub max_idle: Option<Duration>,
    /// Probing of silent clients. `None` leaves the C-core's default, which is after two hours.
    pub keepalive: Option<Keepalive>,
    /// Shortest interval of a client's pings. A client that pings more often loses its connection.
    pub permitted_pings: Duration,
    /// Memory for what clients send.
    pub memory_quota: MemoryQuota,
}

impl Default for ConnectionLimits {
    /// A memory quota and no other limit; pings every 10 s are permitted, which is as often as a
    /// client in Go can.
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            max_age: None,
            age_grace: None,
            max_idle: None,
            keepalive: None,
            permitted_pings: Duration::from_secs(10),
            memory_quota: MemoryQuota::default(),
        }
    }
}

/// Memory that the C-core may use for connections and calls, as far as it counts it: the buffers it
/// reads into, and the state of each call and connection, but not responses that wait to be sent.
/// Above the quota it closes new connections, then idle ones, then ends streams at random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryQuota {
    /// A quarter of what this process may use: the smallest limit of its control groups, or the
    /// machine's memory. Unlimited where the kernel tells neither.
    #[default]
    Automatic,
    /// So many bytes.
    Bytes(usize),
    /// No quota.
    Unlimited,
}

/// The share of the automatic quota. Requests that arrive are counted in full, and they may overshoot
/// while the C-core reclaims; open streams are counted at about half of what they take. A quarter
/// leaves room for both, and for responses.
const AUTOMATIC_SHARE: u64 = 4;

impl MemoryQuota {
    /// `None` for no quota. Blocks while the limits are read.
    fn bytes(self) -> Option<usize> {
        match self {
            MemoryQuota::Automatic => {
                let quota = memory_limit()? / AUTOMATIC_SHARE;
                usize::try_from(quota).ok()
            }
            MemoryQuota::Bytes(bytes) => Some(bytes),
            MemoryQuota::Unlimited => None,
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
        match self.memory_quota.bytes() {
            Some(bytes) => {
                tracing::debug!("memory quota: {bytes} bytes");
                builder.set_resource_quota(ResourceQuota::new(None).resize_memory(bytes))
            }
            None => {
                tracing::debug!("memory quota: none");
                builder
            }
        }
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
