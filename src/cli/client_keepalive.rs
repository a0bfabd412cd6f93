//! The client's flags for keepalive.

use std::time::Duration;

use clap::Args;

use super::units;
use crate::keepalive::Keepalive;

/// Whether the server is still there.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Keepalive")]
pub struct ClientKeepaliveArgs {
    /// Ask a server from which nothing came for so long whether it is still there; 1s or more, and
    /// no less than the server permits (10s, if it is this project's) [default: never]
    #[arg(global = true, long, value_name = "DURATION", value_parser = units::keepalive_interval)]
    pub keepalive_interval: Option<Duration>,

    /// How long it may take to answer, before the calls end with UNAVAILABLE [default: 20s]
    #[arg(global = true, long, value_name = "DURATION", value_parser = units::positive_milliseconds)]
    pub keepalive_timeout: Option<Duration>,
}

impl ClientKeepaliveArgs {
    pub(super) fn check(&self) -> Result<(), String> {
        let (timeout, interval) = (self.keepalive_timeout, self.keepalive_interval);
        let needed = "--keepalive-interval";
        super::needs(
            "--keepalive-timeout",
            timeout.is_some(),
            needed,
            interval.is_some(),
        )
    }

    pub(super) fn keepalive(&self) -> Option<Keepalive> {
        super::server_limits::keepalive(self.keepalive_interval, self.keepalive_timeout)
    }
}
