//! The command lines of the two binaries: parsing, validating and the texts; and the client's run,
//! from flags that are right to an exit code. Sockets are opened by [`crate::client`] and
//! [`crate::server`].

pub mod client;
pub mod exit;
pub mod ids;
pub mod output;
pub mod run;
pub mod server;
pub mod units;
