//! TLS certificates and bearer tokens, read from files and validated before use. A server reloads
//! changed files. It must not know flags, which are in `crate::cli`.
//!
//! Certificates are used at the start of a connection, tokens at the start of a call. No code here
//! runs per message.

mod client_tls;
mod extension;
mod files;
mod pem;
mod reload;
mod roots;
mod server_tls;
mod token;
mod token_checker;
mod watch;

pub use client_tls::{Authorities, ClientIdentity, ClientTls};
pub use files::{readable_by_others, FileError, FileRole};
pub use server_tls::ServerTls;
pub use token::{Token, TokenError};

pub(crate) use extension::Security;

/// Initializes OpenSSL without its cleanup at process exit, which frees memory that poll threads may
/// still use: a program that returns from `main` meanwhile crashes. Call it before every other first
/// use of OpenSSL.
fn init_openssl() {
    openssl::init();
}
