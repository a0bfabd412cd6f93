//! The client's program: from flags to printed responses and an exit code.

mod command;
mod command_error;
mod command_output;
mod describe;
mod failure;
mod fetch;
mod flags;
mod health;
mod ids;
mod json;
mod keepalive;
mod list;
mod manual;
mod output;
mod plan;
mod proto_text;
mod record;
mod run;
mod security;
mod terminal;
mod visible;

pub use command::Command;
pub use describe::DescribeArgs;
pub use flags::ClientArgs;
pub use health::HealthArgs;
pub use ids::{Ids, IdsError, MAX_IDS};
pub use keepalive::ClientKeepaliveArgs;
pub use list::ListArgs;
pub use output::Format;
pub use plan::Plan;
pub use run::run;
pub use security::ClientSecurityArgs;
