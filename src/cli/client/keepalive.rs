//! The client's keepalive flags. It must not know how pings are sent.

use std::time::Duration;

use clap::Args;

use crate::cli::common::{keepalive, needs, units};
use crate::keepalive::Keepalive;

/// Pings that detect a server that is gone.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Keepalive")]
pub struct ClientKeepaliveArgs {
    /// Ping a server that was silent for this long; 1s or more, and no less than the server permits
    /// (10s for this project's) [default: never]
    #[arg(global = true, long, value_name = "DURATION", value_parser = units::keepalive_interval)]
    pub keepalive_interval: Option<Duration>,

    /// Wait this long for the answer to a ping; then the calls end with UNAVAILABLE [default: 20s]
    #[arg(global = true, long, value_name = "DURATION", value_parser = units::positive_milliseconds)]
    pub keepalive_timeout: Option<Duration>,
}

impl ClientKeepaliveArgs {
    pub(super) fn check(&self) -> Result<(), String> {
        let (timeout, interval) = (self.keepalive_timeout, self.keepalive_interval);
        let needed = "--keepalive-interval";
        needs(
            "--keepalive-timeout",
            timeout.is_some(),
            needed,
            interval.is_some(),
        )
    }

    pub(super) fn keepalive(&self) -> Option<Keepalive> {
        keepalive(self.keepalive_interval, self.keepalive_timeout)
    }
}
