//! TLS certificates, their authorities, and bearer tokens: read from files, checked before use, and
//! reloaded by a server when the files change.
//!
//! Nothing here runs for each message: certificates count when a connection begins, tokens when a
//! call begins. It must not know flags: those are in [`crate::cli`].

mod client_tls;
mod files;
mod pem;
mod reload;
mod server_tls;
mod token;
mod token_checker;

pub use client_tls::{Authorities, ClientIdentity, ClientTls};
pub use files::{readable_by_others, FileError, FileRole};
pub use server_tls::ServerTls;
pub use token::{Token, TokenError};

pub(crate) use reload::Watcher;
pub(crate) use server_tls::ServerIdentity;
pub(crate) use token::TokenSet;
pub(crate) use token_checker::TokenChecker;
