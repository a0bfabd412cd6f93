//! Connecting: from an address to a channel that is ready, or the reason why there is none. It
//! makes no call of the service.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use grpcio::{
    CallOption, Channel, ChannelBuilder, ConnectivityState, EnvBuilder, Environment, Method,
    MethodType,
};
use protobuf::well_known_types::Empty;

use super::connect_error::{reason, ConnectError, Security};
use super::retry::{deadline_after, time_left, Retry};
use super::ClientConfig;
use crate::address::{escape, unix_uri, Address};
use crate::engine::codec::method;
use crate::gzip;

/// Connects as `config` says; blocks until there is a channel that is ready, or there is to be
/// none.
pub(super) fn connect(config: &ClientConfig) -> Result<Channel, ConnectError> {
    if config.shows_token_in_the_clear() {
        return Err(ConnectError::TokenInTheClear {
            address: config.address.clone(),
        });
    }
    let limits = config.connect_timeout.into_iter().chain(config.timeout);
    let deadline = deadline_after(limits.min());
    // One poll thread: all calls share one connection, which one thread reads anyway.
    let threads = EnvBuilder::new().cq_count(1).name_prefix("client-poll");
    let environment = Arc::new(threads.build());
    let mut retry = Retry::new(config.retries, deadline);
    loop {
        let channel = build(config, environment.clone());
        match wait_until_ready(&channel, deadline, config.wait_for_ready) {
            Waited::Ready => return Ok(channel),
            Waited::Failed if retry.pause() => {}
            Waited::Failed => {
                return Err(ConnectError::Failed {
                    address: config.address.clone(),
                    reason: why_not(&channel, config),
                })
            }
            Waited::TimedOut => return Err(timed_out(config, &channel)),
        }
    }
}

fn timed_out(config: &ClientConfig, channel: &Channel) -> ConnectError {
    let address = config.address.clone();
    let reason = match channel.check_connectivity_state(false) {
        ConnectivityState::GRPC_CHANNEL_TRANSIENT_FAILURE => why_not(channel, config),
        _ => "it does not answer".into(),
    };
    match (config.connect_timeout, config.timeout) {
        (Some(after), Some(of_call)) if after <= of_call => ConnectError::TimedOut {
            address,
            after,
            reason,
        },
        (_, Some(after)) => ConnectError::DeadlineExceeded {
            address,
            after,
            reason,
        },
        (after, None) => ConnectError::TimedOut {
            address,
            after: after.unwrap_or_default(),
            reason,
        },
    }
}

fn build(config: &ClientConfig, environment: Arc<Environment>) -> Channel {
    let address = &config.address;
    let mut builder = channel_builder(environment)
        // Otherwise a new channel would inherit the pause after the failure of the last one.
        .use_local_subchannel_pool(true)
        // For `wait_for_ready`, where the C-core does the trying.
        .initial_reconnect_backoff(Duration::from_millis(100))
        .max_reconnect_backoff(Duration::from_secs(5))
        .enable_http_proxy(!is_local(address));
    if let Some(keepalive) = config.keepalive {
        builder = keepalive.of_client(builder);
    }
    if config.gzip {
        builder = gzip::of_client(builder);
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = &config.tls {
        builder = builder.set_credentials(tls.credentials());
        if let Some(name) = &tls.server_name {
            builder = builder.override_ssl_target(name.as_str());
        }
    }
    builder.connect(&target(address))
}

/// A channel that receives streams as cheaply as this one's: with every message on its own, what
/// the C-core does for each in its filters is most of what a client costs.
pub fn channel_builder(environment: Arc<Environment>) -> ChannelBuilder {
    ChannelBuilder::new(environment)
        // The server was asked for what it sends, and its messages may be of any size.
        .max_receive_message_len(-1)
        // Retries are ours: the C-core's follow a policy that the server's name service can give.
        .enable_retry(false)
        // Closes the connection after 30 minutes without a call; a client that has none ends.
        .raw_cfg_int(c"grpc.client_idle_timeout_ms".to_owned(), i32::MAX)
        // Without the filters that would enforce what is turned off above: they cost 10 to 15 % of
        // a message even so. This turns off deadlines too, which are wanted.
        .raw_cfg_int(c"grpc.minimal_stack".to_owned(), 1)
        .raw_cfg_int(c"grpc.enable_deadline_checking".to_owned(), 1)
}

/// What a proxy cannot reach for us, whatever the environment says, and nobody reads on the way.
pub(super) fn is_local(address: &Address) -> bool {
    match address {
        Address::Unix(_) => true,
        Address::Tcp { host, .. } => match host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || ip.is_unspecified(),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        },
    }
}

/// The address as the C-core's URI. With its scheme and escapes, so that nothing in a host or a
/// path can be taken for another scheme or for parameters.
fn target(address: &Address) -> String {
    match address {
        Address::Tcp { .. } => {
            let text = address.to_string();
            format!("dns:///{}", escape(text.as_bytes()))
        }
        Address::Unix(path) => unix_uri(path),
    }
}

enum Waited {
    Ready,
    Failed,
    TimedOut,
}

/// Blocks until `channel` is ready or, unless failures are `waited_out`, has failed.
fn wait_until_ready(channel: &Channel, deadline: Option<Instant>, waited_out: bool) -> Waited {
    /// As good as for ever, and still a date that every clock can tell.
    const NO_LIMIT: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

    loop {
        let state = channel.check_connectivity_state(true);
        match state {
            ConnectivityState::GRPC_CHANNEL_READY => return Waited::Ready,
            ConnectivityState::GRPC_CHANNEL_SHUTDOWN => return Waited::Failed,
            ConnectivityState::GRPC_CHANNEL_TRANSIENT_FAILURE if !waited_out => {
                return Waited::Failed
            }
            _ => {}
        }
        let left = time_left(deadline).unwrap_or(NO_LIMIT);
        if left.is_zero() || !block_on(channel.wait_for_state_change(state, left)) {
            return Waited::TimedOut;
        }
    }
}

/// The call that asks a failed channel for its reason: any call ends with that. A server that can
/// be reached after all takes it for the health check that it is.
const PROBE: Method<Empty, Empty> = method(MethodType::Unary, "/grpc.health.v1.Health/Check");

#[cfg(feature = "tls")]
fn security(config: &ClientConfig) -> Security {
    match &config.tls {
        None => Security::Clear,
        Some(tls) if tls.identity.is_none() => Security::Tls,
        Some(_) => Security::MutualTls,
    }
}

#[cfg(not(feature = "tls"))]
fn security(_: &ClientConfig) -> Security {
    Security::Clear
}

/// Why `channel` has failed. Blocks for a second at the most.
fn why_not(channel: &Channel, config: &ClientConfig) -> String {
    let options = CallOption::default().timeout(Duration::from_secs(1));
    let client = grpcio::Client::new(channel.clone());
    match client.unary_call(&PROBE, &Empty::default(), options) {
        Err(grpcio::Error::RpcFailure(status)) => reason(&status, security(config)),
        _ => "it cannot be reached".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn targets_can_be_taken_for_nothing_else() {
        let target = |text: &str| target(&parsed(text));
        assert_eq!(target("localhost:50005"), "dns:///localhost:50005");
        assert_eq!(target("unix.example:1"), "dns:///unix.example:1");
        assert_eq!(target("[::1]:80"), "dns:///%5B::1%5D:80");
        assert_eq!(target("unix:/run/a b?c"), "unix:/run/a%20b%3Fc");
    }

    #[test]
    fn proxies_are_for_other_machines() {
        for local in ["localhost:1", "127.0.0.2:1", "[::1]:1", "unix:/a"] {
            assert!(is_local(&parsed(local)), "{local}");
        }
        assert!(!is_local(&parsed("example.com:1")));
        assert!(!is_local(&parsed("192.0.2.1:1")));
    }
}
