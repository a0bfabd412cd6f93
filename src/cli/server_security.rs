//! The server's flags for TLS and tokens, and errors that name the flag of a file. It must not read
//! files.

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use crate::security::{readable_by_others, FileRole, ServerTls};
use crate::server::StartError;

/// The server's identity, and its callers' credentials.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Security")]
pub struct ServerSecurityArgs {
    /// Serve TLS only, with this certificate (PEM)
    ///
    /// The certificates between it and its authority follow in the same file. This and the other
    /// files here are reloaded when they change.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of the certificate (PEM, without a passphrase)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Mutual TLS: serve only clients with a certificate of one of these authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,

    /// Serve only calls with a token of this file
    ///
    /// Calls send it as the header `authorization: Bearer TOKEN`. Tokens are one a line; # begins a
    /// comment. Emptying or deleting the file revokes all tokens.
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
        let secrets = [
            ("--tls-key", &self.tls_key),
            ("--token-file", &self.token_file),
        ];
        let given = secrets
            .into_iter()
            .filter_map(|(flag, path)| Some((flag, path.as_ref()?)));
        given
            .filter(|(_, path)| readable_by_others(path))
            .map(|(flag, path)| super::open_to_others(flag, path))
            .collect()
    }
}

/// The message and the exit code for a server that did not start.
pub fn explain(error: &StartError) -> (String, Exit) {
    match error {
        StartError::File(file) => {
            let flag = match file.role {
                FileRole::Certificate => "--tls-cert",
                FileRole::Key => "--tls-key",
                FileRole::Authorities => "--tls-client-ca",
                FileRole::Tokens => "--token-file",
            };
            (format!("{flag}: {file}"), Exit::Usage)
        }
        StartError::Metrics { .. } => (format!("--metrics: {error}"), Exit::NoConnection),
        StartError::Collector(wrong) => (format!("--otlp: {wrong}"), Exit::Usage),
        other => (other.to_string(), Exit::NoConnection),
    }
}
