//! Who is who: TLS certificates, the authorities that vouch for them, and bearer tokens; read from
//! files, checked before they are used, and on the server taken anew when the files change.
//!
//! Nothing here is on the way of a message: certificates matter when a connection is made, tokens
//! when a call begins. Flags and their names are [`crate::cli`]'s.

mod checker;
mod client_tls;
mod files;
mod pem;
mod reload;
mod server_tls;
mod token;

pub use client_tls::{Authorities, ClientIdentity, ClientTls};
pub use files::{readable_by_others, FileError, FileRole};
pub use server_tls::ServerTls;
pub use token::{Token, TokenError};

pub(crate) use checker::TokenChecker;
pub(crate) use reload::Watcher;
pub(crate) use server_tls::ServerIdentity;
pub(crate) use token::TokenSet;
