//! The command lines of the two binaries: parsing, validating and the texts. Nothing here opens a
//! socket.

pub mod client;
pub mod exit;
pub mod ids;
pub mod output;
pub mod server;
pub mod units;
