//! Opens the connections of a load client on grpcio, as its flags describe them. It makes no call.

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use grpcio::{
    Channel, ChannelBuilder, ChannelCredentialsBuilder, ConnectivityState, RpcStatusCode,
};

use crate::common::LoadArgs;

/// Changes the arguments of a channel.
pub type Adjust = Arc<dyn Fn(ChannelBuilder) -> ChannelBuilder + Send + Sync>;

/// Returns what the flags set of each channel.
///
/// # Errors
/// Returns a message for the user if a flag names an unusable file.
pub fn adjust(args: &LoadArgs) -> Result<Adjust, String> {
    let authority = args.authority()?;
    let (window, server_name) = (args.window, args.server_name.clone());
    Ok(Arc::new(move |channel| {
        let mut channel = channel
            // Channels to the same address would share one connection.
            .use_local_subchannel_pool(true)
            // A proxy would be measured too.
            .enable_http_proxy(false);
        if window > 0 {
            channel = channel
                .stream_initial_window_size(i32::try_from(window).unwrap_or(i32::MAX))
                // The probe would change the window.
                .http2_bdp_probe(false);
        }
        if let Some(authority) = &authority {
            let trusted = ChannelCredentialsBuilder::new().root_cert(authority.clone().into());
            channel = channel.set_credentials(trusted.build());
        }
        if let Some(name) = &server_name {
            channel = channel.override_ssl_target(name.clone());
        }
        channel
    }))
}

/// Blocks until all channels have connected or failed. A failure is the status of the calls on that
/// channel.
pub fn connect(channels: &[Channel]) {
    // All connect at the same time.
    for channel in channels {
        channel.check_connectivity_state(true);
    }
    channels.iter().for_each(wait_until_connected);
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
