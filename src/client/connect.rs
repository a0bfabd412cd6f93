//! Connects: waits until a new channel is ready, or finds the reason why it cannot be. It must not
//! call the user's service.

use std::time::{Duration, Instant};

use futures::StreamExt;
use grpcio::{CallOption, Channel, ConnectivityState, Method, MethodType};
use protobuf::well_known_types::Empty;

use super::channels::{failed, Channels};
use super::connect_error::{reason, ConnectError, Security};
use super::retry::{deadline_after, time_left, Retry};
use super::ClientConfig;
use crate::engine::codec::method;
use crate::engine::thread_waker::block_on;

/// Connects. Blocks until the channel is ready, the last retry has failed, or the timeout has
/// passed.
pub(super) fn connect(channels: &Channels) -> Result<Channel, ConnectError> {
    let config = &channels.config;
    let limits = config.connect_timeout.into_iter().chain(config.timeout);
    let deadline = deadline_after(limits.min());
    let mut retry = Retry::new(config.retries, deadline);
    let patience = channels.patience();
    loop {
        let channel = channels.make(patience)?;
        match wait_until_ready(&channel, deadline, config.wait_for_ready) {
            Waited::Ready => return Ok(channel),
            Waited::Failed if retry.pause() => {}
            Waited::Failed => {
                return Err(failed(config, failure_reason(&channel, channels)));
            }
            Waited::TimedOut => return Err(timed_out(channels, &channel)),
        }
    }
}

fn timed_out(channels: &Channels, channel: &Channel) -> ConnectError {
    let config = &channels.config;
    let address = config.address.clone();
    let reason = match channel.check_connectivity_state(false) {
        ConnectivityState::GRPC_CHANNEL_TRANSIENT_FAILURE => failure_reason(channel, channels),
        _ => match channels.proxy() {
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
fn failure_reason(channel: &Channel, channels: &Channels) -> String {
    let options = CallOption::default().timeout(Duration::from_secs(1));
    let client = grpcio::Client::new(channel.clone());
    let called = client.server_streaming(&PROBE, &Empty::default(), options);
    let first = called.map(|mut responses| block_on(responses.next()));
    let reason = match first {
        Ok(Some(Err(grpcio::Error::RpcFailure(status)))) => {
            reason(&status, security(&channels.config))
        }
        _ => "it cannot be reached".into(),
    };
    match channels.proxy() {
        Some(proxy) => format!("{reason}, by way of the proxy {proxy}"),
        None => reason,
    }
}
