//! The two binaries as a user runs them: flags, settings, output, exit codes and signals, and the
//! services, metrics and spans of a running server. The documentation agrees with them.

#[path = "../common/mod.rs"]
mod common;

mod channelz;
mod client;
mod client_commands;
mod client_output;
mod client_tls;
mod documentation;
mod health;
mod lines;
mod malformed_requests;
mod metrics;
mod reconnecting;
mod reflection;
mod scarcity;
mod server;
mod server_tls;
mod settings;
mod shutdown;
mod signals;
mod telemetry;
mod terminal;
mod tokens;
