//! Connects: makes a ready channel from a configuration, or an error with the reason. It must not
//! call the user's service.

use std::ffi::CStr;
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
use super::{proxy, race, ClientConfig};
use crate::address::{escape, unix_uri, Address};
use crate::c_core::{check_threads, redirect_log};
use crate::engine::codec::method;
use crate::engine::frames::FRAMED_MESSAGES;
use crate::gzip;
use crate::message_size::{allow_long_metadata, limit_messages, DEFAULT_MESSAGE_BYTES};

/// Connects. Blocks until the channel is ready, the last retry has failed, or the timeout has
/// passed.
pub(super) fn connect(config: &ClientConfig) -> Result<Channel, ConnectError> {
    if config.shows_token_in_the_clear() {
        return Err(ConnectError::TokenInTheClear {
            address: config.address.clone(),
        });
    }
    redirect_log();
    check_threads(1).map_err(|error| failed(config, error))?;
    let limits = config.connect_timeout.into_iter().chain(config.timeout);
    let deadline = deadline_after(limits.min());
    // One poll thread is enough: all calls share one connection, which one thread reads.
    let threads = EnvBuilder::new().cq_count(1).name_prefix("client-poll");
    let environment = Arc::new(threads.build());
    let mut retry = Retry::new(config.retries, deadline);
    let patience = patience(config);
    loop {
        let channel = build(config, environment.clone(), patience)?;
        match wait_until_ready(&channel, deadline, config.wait_for_ready) {
            Waited::Ready => return Ok(channel),
            Waited::Failed if retry.pause() => {}
            Waited::Failed => {
                return Err(failed(config, failure_reason(&channel, config)));
            }
            Waited::TimedOut => return Err(timed_out(config, &channel)),
        }
    }
}

fn failed(config: &ClientConfig, reason: impl ToString) -> ConnectError {
    ConnectError::Failed {
        address: config.address.clone(),
        reason: reason.to_string(),
    }
}

fn timed_out(config: &ClientConfig, channel: &Channel) -> ConnectError {
    let address = config.address.clone();
    let reason = match channel.check_connectivity_state(false) {
        ConnectivityState::GRPC_CHANNEL_TRANSIENT_FAILURE => failure_reason(channel, config),
        _ => match proxy(config) {
            Some(proxy) => format!("it does not answer, by way of the proxy {proxy}"),
            None => "it does not answer".into(),
        },
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

/// How long the C-core waits for one address; 20 s by default.
const PATIENCE: &CStr = c"grpc.min_reconnect_backoff_ms";

/// How long to wait for one address of a name of which another answers sooner.
fn patience(config: &ClientConfig) -> Option<Duration> {
    match &config.address {
        // A proxy resolves the name itself.
        Address::Tcp { host, port } if !is_local(&config.address) && proxy(config).is_none() => {
            race::patience(host, *port)
        }
        _ => None,
    }
}

/// The proxy on the way.
fn proxy(config: &ClientConfig) -> Option<String> {
    match &config.address {
        Address::Tcp { host, .. } if !is_local(&config.address) => proxy::on_the_way_to(host),
        _ => None,
    }
}

fn build(
    config: &ClientConfig,
    environment: Arc<Environment>,
    patience: Option<Duration>,
) -> Result<Channel, ConnectError> {
    let address = &config.address;
    let mut builder = limit_messages(channel_builder(environment), config.max_response_bytes)
        // Otherwise a new channel would inherit the backoff of the previous one.
        .use_local_subchannel_pool(true)
        // For `wait_for_ready`, where the C-core reconnects.
        .initial_reconnect_backoff(Duration::from_millis(100))
        // A client is back soon after an outage.
        .max_reconnect_backoff(Duration::from_secs(1))
        .enable_http_proxy(!is_local(address));
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
    Ok(builder.connect(&target(address)))
}

/// Returns a channel builder without the C-core's filters for each message, which are most of a
/// client's cost for small messages. Responses may have up to 4 MiB, and channelz does not show it.
/// For [`Client::on_channel`](super::Client::on_channel), and for generated clients
/// whose calls do not set `force_no_compress`: that flag asks for responses in frames.
pub fn channel_builder(environment: Arc<Environment>) -> ChannelBuilder {
    redirect_log();
    let builder = allow_long_metadata(ChannelBuilder::new(environment));
    limit_messages(builder, DEFAULT_MESSAGE_BYTES)
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

/// Returns true if the address is on this machine. No proxy is used for it, and its traffic does
/// not leave the machine.
pub(super) fn is_local(address: &Address) -> bool {
    match address {
        Address::Unix(_) => true,
        Address::Tcp { host, .. } => match host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || ip.is_unspecified(),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        },
    }
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

enum Waited {
    Ready,
    Failed,
    TimedOut,
}

/// Blocks until `channel` is ready, the deadline has passed or, without `wait_for_ready`, it has
/// failed.
fn wait_until_ready(channel: &Channel, deadline: Option<Instant>, wait_for_ready: bool) -> Waited {
    /// Effectively unlimited, and still within the range of every clock.
    const NO_LIMIT: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

    loop {
        let state = channel.check_connectivity_state(true);
        match state {
            ConnectivityState::GRPC_CHANNEL_READY => return Waited::Ready,
            ConnectivityState::GRPC_CHANNEL_SHUTDOWN => return Waited::Failed,
            ConnectivityState::GRPC_CHANNEL_TRANSIENT_FAILURE if !wait_for_ready => {
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

/// A call over a failed channel ends with the reason of the failure. If the server can be reached
/// after all, it gets a health check.
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

/// Returns why `channel` has failed. Blocks for at most a second.
fn failure_reason(channel: &Channel, config: &ClientConfig) -> String {
    let options = CallOption::default().timeout(Duration::from_secs(1));
    let client = grpcio::Client::new(channel.clone());
    let reason = match client.unary_call(&PROBE, &Empty::default(), options) {
        Err(grpcio::Error::RpcFailure(status)) => reason(&status, security(config)),
        _ => "it cannot be reached".into(),
    };
    match proxy(config) {
        Some(proxy) => format!("{reason}, by way of the proxy {proxy}"),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn targets_have_a_scheme_and_escapes() {
        let target = |text: &str| target(&parsed(text));
        assert_eq!(target("localhost:50005"), "dns:///localhost:50005");
        assert_eq!(target("unix.example:1"), "dns:///unix.example:1");
        assert_eq!(target("[::1]:80"), "dns:///%5B::1%5D:80");
        assert_eq!(target("unix:/run/a b?c"), "unix:/run/a%20b%3Fc");
    }

    #[test]
    fn loopback_and_sockets_are_local() {
        for local in ["localhost:1", "127.0.0.2:1", "[::1]:1", "unix:/a"] {
            assert!(is_local(&parsed(local)), "{local}");
        }
        assert!(!is_local(&parsed("example.com:1")));
        assert!(!is_local(&parsed("192.0.2.1:1")));
    }
}
