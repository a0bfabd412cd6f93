//! Keepalive: HTTP/2 pings that detect a broken connection. The settings of client and server are
//! here together, because they must match. It must not know flags.

use std::time::Duration;

use grpcio::ChannelBuilder;

/// Interval and timeout of keepalive pings. A broken connection is detected after both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Time without received data before a ping is sent. Values below 1 s count as 1 s.
    pub interval: Duration,
    /// Time for the response to a ping before the connection is closed. It is also the kernel's
    /// limit for unacknowledged data (TCP_USER_TIMEOUT).
    pub timeout: Duration,
}

impl Keepalive {
    /// Minimum interval: the C-core's client sends at most one ping per second.
    pub const MIN_INTERVAL: Duration = Duration::from_secs(1);

    /// The default timeout of the C-core and grpc-go.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

    pub(crate) fn apply(self, builder: ChannelBuilder) -> ChannelBuilder {
        builder
            .keepalive_time(self.interval.max(Keepalive::MIN_INTERVAL))
            .keepalive_timeout(self.timeout)
    }

    pub(crate) fn apply_to_client(self, builder: ChannelBuilder) -> ChannelBuilder {
        self.apply(builder)
            // By default it stops after two pings, because a client that reads a stream sends no
            // data.
            .http2_max_pings_without_data(0)
    }
}

/// Lets clients of a server ping every `interval`, with and without calls. After a few pings more
/// often than that, the server closes the connection with `too_many_pings`.
pub(crate) fn permit_pings(builder: ChannelBuilder, interval: Duration) -> ChannelBuilder {
    builder
        // A tenth less, because clocks round and networks delay pings unevenly.
        .http2_min_recv_ping_interval_without_data(interval / 10 * 9)
        .keepalive_permit_without_calls(true)
}
