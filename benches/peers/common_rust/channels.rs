//! The connections of a load client on grpcio, as its flags ask for them. It makes no call.

use std::time::Duration;

use futures::executor::block_on;
use grpcio::{
    Channel, ChannelBuilder, ChannelCredentialsBuilder, ConnectivityState, RpcStatusCode,
};

use crate::common::LoadArgs;

/// A channel for each connection, connected where that is possible: a failure is the status of the
/// calls on it. `builder` makes what is not a matter of flags. Blocks until then.
///
/// # Errors
/// A text for the user, when a flag names a file that cannot be used.
pub fn connect(
    args: &LoadArgs,
    builder: impl Fn() -> ChannelBuilder,
) -> Result<Vec<Channel>, String> {
    let authority = args.authority()?;
    let channel = |_| {
        let mut channel = builder()
            // Otherwise channels to the same address share one connection.
            .use_local_subchannel_pool(true)
            // A proxy would be measured too.
            .enable_http_proxy(false);
        if args.window > 0 {
            channel = channel
                .stream_initial_window_size(i32::try_from(args.window).unwrap_or(i32::MAX))
                // It would change the window.
                .http2_bdp_probe(false);
        }
        if let Some(authority) = &authority {
            let trusted = ChannelCredentialsBuilder::new().root_cert(authority.clone().into());
            channel = channel.set_credentials(trusted.build());
        }
        if let Some(name) = &args.server_name {
            channel = channel.override_ssl_target(name.clone());
        }
        channel.connect(&args.addr)
    };
    let channels: Vec<Channel> = (0..args.connections).map(channel).collect();
    // All of them at the same time.
    for channel in &channels {
        channel.check_connectivity_state(true);
    }
    channels.iter().for_each(wait_until_connected);
    Ok(channels)
}

/// Blocks until `channel` is connected, or has failed to.
fn wait_until_connected(channel: &Channel) {
    /// The C-core gives up before.
    const LONGEST: Duration = Duration::from_secs(60);

    loop {
        let state = channel.check_connectivity_state(true);
        let connecting = matches!(
            state,
            ConnectivityState::GRPC_CHANNEL_IDLE | ConnectivityState::GRPC_CHANNEL_CONNECTING
        );
        if !connecting || !block_on(channel.wait_for_state_change(state, LONGEST)) {
            return;
        }
    }
}

/// The code of the status that a failed call ended with.
pub fn code(error: &grpcio::Error) -> i32 {
    match error {
        grpcio::Error::RpcFailure(status) => status.code().into(),
        // What gRPC prescribes for a response that cannot be parsed.
        _ => RpcStatusCode::INTERNAL.into(),
    }
}
