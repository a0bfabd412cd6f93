//! Keepalive: HTTP/2 pings that find out whether the other side of a connection is still there.
//! Both sides' settings in one place, since they have to fit each other.

use std::time::Duration;

use grpcio::ChannelBuilder;

/// When a connection is asked whether it still works, and how long the answer may take. A side
/// that is gone without a word is noticed after both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long nothing comes before a ping is sent. Less than a second counts as one.
    pub interval: Duration,
    /// How long its answer may take before the connection is closed. It is also how long the
    /// kernel waits for the other machine to acknowledge what was sent (TCP_USER_TIMEOUT).
    pub timeout: Duration,
}

impl Keepalive {
    /// The shortest interval: the C-core's client sends no two pings within a second.
    pub const LEAST_INTERVAL: Duration = Duration::from_secs(1);

    /// The timeout that the C-core and grpc-go have where none is set.
    pub const USUAL_TIMEOUT: Duration = Duration::from_secs(20);

    pub(crate) fn of_either(self, builder: ChannelBuilder) -> ChannelBuilder {
        builder
            .keepalive_time(self.interval.max(Keepalive::LEAST_INTERVAL))
            .keepalive_timeout(self.timeout)
    }

    pub(crate) fn of_client(self, builder: ChannelBuilder) -> ChannelBuilder {
        self.of_either(builder)
            // Otherwise it stops after two pings, since a client that reads a stream sends nothing.
            .http2_max_pings_without_data(0)
    }
}

/// Has a server tolerate pings that come no more often than `interval`, with and without calls.
/// One that gets more, a few times, closes the connection with `too_many_pings`.
pub(crate) fn permit_pings(builder: ChannelBuilder, interval: Duration) -> ChannelBuilder {
    builder
        // A tenth less, since clocks round and networks bunch.
        .http2_min_recv_ping_interval_without_data(interval / 10 * 9)
        .keepalive_permit_without_calls(true)
}
