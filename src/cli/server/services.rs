//! The server's flags for reflection and channelz. It must not know how they work.

use clap::Args;

use crate::server::ServicesConfig;

/// Services beside the tutorial's.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Services for tools")]
pub struct ServerServicesArgs {
    /// Do not serve reflection; tools such as grpcurl then need the proto file [default: serve it]
    #[arg(long)]
    pub no_reflection: bool,

    /// Serve channelz, which shows every caller the addresses of all clients [default: do not]
    #[arg(long)]
    pub channelz: bool,
}

impl ServerServicesArgs {
    pub(super) fn config(&self) -> ServicesConfig {
        ServicesConfig {
            reflection: !self.no_reflection,
            channelz: self.channelz,
        }
    }
}
