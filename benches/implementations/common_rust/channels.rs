//! Opens the connections of a load client on grpcio, as its flags describe them. It makes no call.

use std::time::Duration;

use futures::executor::block_on;
use grpcio::{
    Channel, ChannelBuilder, ChannelCredentialsBuilder, ConnectivityState, RpcStatusCode,
};

use crate::common::LoadArgs;

/// Creates a channel for each connection and blocks until all have connected or failed. A failure
/// is the status of the calls on that channel. `builder` sets everything that no flag sets.
///
/// # Errors
/// Returns a message for the user if a flag names an unusable file.
pub fn connect(
    args: &LoadArgs,
    builder: impl Fn() -> ChannelBuilder,
) -> Result<Vec<Channel>, String> {
    let authority = args.authority()?;
    let channel = |_| {
        let mut channel = builder()
            // Channels to the same address would share one connection.
            .use_local_subchannel_pool(true)
            // A proxy would be measured too.
            .enable_http_proxy(false);
        if args.window > 0 {
            channel = channel
                .stream_initial_window_size(i32::try_from(args.window).unwrap_or(i32::MAX))
                // The probe would change the window.
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
    // All connect at the same time.
    for channel in &channels {
        channel.check_connectivity_state(true);
    }
    channels.iter().for_each(wait_until_connected);
    Ok(channels)
}

/// Blocks until `channel` has connected or failed.
fn wait_until_connected(channel: &Channel) {
    /// The C-core gives up earlier.
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

/// The status code of a failed call.
pub fn code(error: &grpcio::Error) -> i32 {
    match error {
        grpcio::Error::RpcFailure(status) => status.code().into(),
        // gRPC prescribes this for a response that cannot be parsed.
        _ => RpcStatusCode::INTERNAL.into(),
    }
}
