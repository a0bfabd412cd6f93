//! The connections of a load client on grpcio, as its flags ask for them. It makes no call.

use grpcio::{Channel, ChannelBuilder, ChannelCredentialsBuilder, RpcStatusCode};

use crate::common::LoadArgs;

/// A channel for each connection, to be connected by the first call on it. `builder` makes what is
/// not a matter of flags.
///
/// # Errors
/// A text for the user, when a flag names a file that cannot be used.
pub fn connect(
    args: &LoadArgs,
    builder: impl Fn() -> ChannelBuilder,
) -> Result<Vec<Channel>, String> {
    let authority = args.authority()?;
    let connect = |_| {
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
    Ok((0..args.connections).map(connect).collect())
}

/// The code of the status that a failed call ended with.
pub fn code(error: &grpcio::Error) -> i32 {
    match error {
        grpcio::Error::RpcFailure(status) => status.code().into(),
        // What gRPC prescribes for a response that cannot be parsed.
        _ => RpcStatusCode::INTERNAL.into(),
    }
}
