//! Limits of connections and of their memory, as channel arguments. The C-core enforces them. It
//! must not know streams: the engine enforces their limits.

use std::ffi::CStr;
use std::time::Duration;

use grpcio::{ChannelBuilder, ResourceQuota};

use super::memory::memory_limit;
use crate::keepalive::{permit_pings, Keepalive};

/// Limits of each connection, and of the memory of all connections. `None` means no limit. The
/// C-core stores milliseconds in 31 bits, so longer limits are cut to 24 days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Age at which a connection stops accepting calls, varied at random by up to a tenth. The
    /// client opens another connection; open streams continue.
    pub max_age: Option<Duration>,
    /// Time for open streams to finish once their connection has reached `max_age`. Then the
    /// connection is closed, and they end with UNAVAILABLE.
    pub age_grace: Option<Duration>,
    /// Time without a stream after which a connection is closed.
    pub max_idle: Option<Duration>,
    /// Pings to idle clients. `None` keeps the C-core's default interval of two hours.
    pub keepalive: Option<Keepalive>,
    /// Minimum interval between a client's pings. The connection of a client that pings more often
    /// is closed.
    pub permitted_pings: Duration,
    /// Memory for connections, calls and requests.
    pub memory_quota: MemoryQuota,
}

impl Default for ConnectionLimits {
    /// The automatic memory quota and no other limit. Permits pings every 10 s, the shortest
    /// interval of grpc-go clients.
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

/// Memory quota of the C-core for connections and calls. It covers read buffers and the state of
/// calls and connections, but not queued responses. Above the quota, the C-core closes new
/// connections, then idle ones, then ends streams at random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryQuota {
    /// A quarter of the memory available to this process: of the smallest limit of its control
    /// groups, or of the machine's memory. Unlimited if the kernel reports neither.
    #[default]
    Automatic,
    /// A number of bytes.
    Bytes(usize),
    /// No quota.
    Unlimited,
}

/// Divisor of the automatic quota. The C-core counts requests in full, but may exceed the quota
/// while it reclaims memory, and it counts less than half the memory of open streams. A quarter
/// leaves memory for both, and for responses.
const AUTOMATIC_DIVISOR: u64 = 4;

impl MemoryQuota {
    /// Returns `None` for no quota. Blocks while files of the kernel are read.
    fn bytes(self) -> Option<usize> {
        match self {
            MemoryQuota::Automatic => {
                let quota = memory_limit()? / AUTOMATIC_DIVISOR;
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
            builder = keepalive.apply(builder);
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
