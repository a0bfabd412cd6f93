//! The server's flags for the services that tools expect.

use clap::Args;

use crate::server::StandardServices;

/// The services beside the tutorial's.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Services for tools")]
pub struct ServerStandardArgs {
    /// Serve no reflection, so that tools such as grpcurl need the proto file [default: serve it]
    #[arg(long)]
    pub no_reflection: bool,

    /// Serve channelz: the connections there are, and the addresses of all clients, for whoever may
    /// call [default: do not]
    #[arg(long)]
    pub channelz: bool,
}

impl ServerStandardArgs {
    pub(super) fn services(&self) -> StandardServices {
        StandardServices {
            reflection: !self.no_reflection,
            channelz: self.channelz,
        }
    }
}
