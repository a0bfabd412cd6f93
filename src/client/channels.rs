//! Makes the C-core's channels from the configuration of a client. It must not connect.

use std::ffi::CStr;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use grpcio::{Channel, ChannelBuilder};

use super::{proxy, race, ClientConfig, ClientThreads, ConnectError};
use crate::address::{escape, unix_uri, Address};
use crate::engine::frames::FRAMED_MESSAGES;
use crate::gzip;
use crate::message_size::{allow_long_metadata, limit_messages};

/// How long the C-core waits for one address; 20 s by default.
const PATIENCE: &CStr = c"grpc.min_reconnect_backoff_ms";

/// The caller's changes of a channel.
pub(super) type Adjust = Arc<dyn Fn(ChannelBuilder) -> ChannelBuilder + Send + Sync>;

/// Makes the channels of one client.
pub(super) struct Channels {
    pub(super) config: ClientConfig,
    threads: ClientThreads,
    adjust: Adjust,
}

impl Channels {
    /// With a poll thread of its own if there are no `threads`.
    ///
    /// # Errors
    /// The token would be sent in the clear, or no thread can be started.
    pub(super) fn new(
        config: ClientConfig,
        threads: Option<ClientThreads>,
        adjust: Adjust,
    ) -> Result<Channels, ConnectError> {
        if config.shows_token_in_the_clear() {
            let address = config.address;
            return Err(ConnectError::TokenInTheClear { address });
        }
        let threads = match threads {
            Some(threads) => threads,
            // One is enough: all calls share one connection, which one thread reads.
            None => ClientThreads::new(1).map_err(|error| failed(&config, error))?,
        };
        Ok(Channels {
            config,
            threads,
            adjust,
        })
    }

    /// Whether the host may have several addresses, which should race before the C-core connects.
    pub(super) fn has_race(&self) -> bool {
        match &self.config.address {
            Address::Tcp { host, .. } => {
                let is_name = !host.contains(':') && host.parse::<IpAddr>().is_err();
                // A proxy resolves the name itself.
                is_name && !self.config.address.is_local() && self.proxy().is_none()
            }
            Address::Unix(_) => false,
        }
    }

    /// Has the addresses race, and returns how long to wait for each if the first one is dead. Blocks
    /// for at most 3 s after the host is resolved.
    pub(super) fn patience(&self) -> Option<Duration> {
        match &self.config.address {
            Address::Tcp { host, port } if self.has_race() => race::patience(host, *port),
            _ => None,
        }
    }

    /// The proxy on the way.
    pub(super) fn proxy(&self) -> Option<String> {
        match &self.config.address {
            Address::Tcp { host, .. } if !self.config.address.is_local() => {
                proxy::on_the_way_to(host)
            }
            _ => None,
        }
    }

    /// Makes a channel that waits for each address at least as long as `patience`.
    ///
    /// # Errors
    /// The files of TLS are unusable.
    pub(super) fn make(&self, patience: Option<Duration>) -> Result<Channel, ConnectError> {
        let config = &self.config;
        let builder = ChannelBuilder::new(self.threads.environment());
        let mut builder = limit_messages(cheap(builder), config.max_response_bytes)
            // Otherwise a new channel would inherit the backoff of the previous one.
            .use_local_subchannel_pool(true)
            // A client is back within a second of its server: the C-core adds up to a fifth.
            .initial_reconnect_backoff(Duration::from_millis(100))
            .max_reconnect_backoff(Duration::from_millis(800))
            .enable_http_proxy(!config.address.is_local());
        if let Some(patience) = patience {
            let milliseconds = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
            builder = builder.raw_cfg_int(PATIENCE.into(), milliseconds);
        }
        if let Some(keepalive) = config.keepalive {
            builder = keepalive.apply_to_client(builder);
        }
        if config.gzip {
            builder = gzip::compress_requests(builder);
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &config.tls {
            let credentials = tls.credentials().map_err(|error| failed(config, error))?;
            builder = builder.set_credentials(credentials);
            if let Some(name) = &tls.server_name {
                builder = builder.override_ssl_target(name.as_str());
            }
        }
        Ok((self.adjust)(builder).connect(&target(&config.address)))
    }
}

/// Leaves out the C-core's filters for each message, which are most of a client's cost for small
/// messages. channelz does not show such a channel.
fn cheap(builder: ChannelBuilder) -> ChannelBuilder {
    allow_long_metadata(builder)
        // The C-core's filter looks at complete messages only.
        .max_receive_message_len(-1)
        // `Retry` does the retries. The C-core's would follow a policy from the name service.
        .enable_retry(false)
        // Otherwise the C-core closes the connection after 30 minutes without a call.
        .raw_cfg_int(c"grpc.client_idle_timeout_ms".to_owned(), i32::MAX)
        // Removes the filters of the features turned off above, which cost 10 to 15 % of a message
        // even when off. It also removes deadlines, so the next line restores them.
        .raw_cfg_int(c"grpc.minimal_stack".to_owned(), 1)
        .raw_cfg_int(c"grpc.enable_deadline_checking".to_owned(), 1)
        // For channelz the C-core counts every message: 3 % of a tiny one.
        .raw_cfg_int(c"grpc.enable_channelz".to_owned(), 0)
        // For calls that ask for them.
        .raw_cfg_int(FRAMED_MESSAGES.into(), 1)
}

/// Returns the C-core's URI of an address. The explicit scheme and the escapes keep a host or path
/// from being parsed as another scheme or as parameters.
fn target(address: &Address) -> String {
    match address {
        Address::Tcp { .. } => {
            let text = address.to_string();
            format!("dns:///{}", escape(text.as_bytes()))
        }
        Address::Unix(path) => unix_uri(path),
    }
}

pub(super) fn failed(config: &ClientConfig, reason: impl ToString) -> ConnectError {
    ConnectError::Failed {
        address: config.address.clone(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_a_scheme_and_escapes() {
        let target = |text: &str| target(&text.parse().unwrap());
        assert_eq!(target("localhost:50005"), "dns:///localhost:50005");
        assert_eq!(target("unix.example:1"), "dns:///unix.example:1");
        assert_eq!(target("[::1]:80"), "dns:///%5B::1%5D:80");
        assert_eq!(target("unix:/run/a b?c"), "unix:/run/a%20b%3Fc");
    }
}
