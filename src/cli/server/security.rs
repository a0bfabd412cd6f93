//! The server's flags for TLS and tokens. It must not read files.

use std::path::PathBuf;

use clap::Args;

use crate::cli::common::readable_secrets;
use crate::security::ServerTls;

/// The server's identity, and its callers' credentials.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Security")]
pub struct ServerSecurityArgs {
    /// Serve TLS only, with this certificate (PEM)
    ///
    /// Intermediate certificates follow in the same file. The server reloads this file and the other
    /// files of this section when they change.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of the certificate (PEM, without a passphrase)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Serve only clients with a certificate of one of these authorities (mutual TLS; PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,

    /// Serve only calls with a token of this file
    ///
    /// The header is `authorization: Bearer TOKEN`. The file has one token a line; # begins a comment.
    /// Emptying or deleting the file revokes all tokens.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl ServerSecurityArgs {
    pub(super) fn tls(&self) -> Option<ServerTls> {
        Some(ServerTls {
            certificate: self.tls_cert.clone()?,
            key: self.tls_key.clone()?,
            client_authorities: self.tls_client_ca.clone(),
        })
    }

    /// Warnings about secrets that others can read.
    pub(super) fn warnings(&self) -> Vec<String> {
        readable_secrets([
            ("--tls-key", &self.tls_key),
            ("--token-file", &self.token_file),
        ])
    }
}
