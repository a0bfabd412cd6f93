//! The client's flags for TLS, tokens and headers: what they mean together, and what is wrong with
//! the files. Here the files are read.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::Args;

use crate::client::Header;
use crate::security::{
    readable_by_others, Authorities, ClientIdentity, ClientTls, FileRole, Token,
};

/// Who the server has to be, and who the client is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Security")]
pub struct ClientSecurityArgs {
    /// Connect over TLS; without --ca the server needs a certificate that the system trusts
    #[arg(global = true, long)]
    pub tls: bool,

    /// Who may vouch for the server, instead of the system's authorities (PEM)
    #[arg(global = true, long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// For mutual TLS: the client's certificate (PEM)
    ///
    /// Behind it in the file come those between it and its authority.
    #[arg(global = true, long, value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// The private key of --cert (PEM, without a passphrase)
    #[arg(global = true, long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// The name that the server's certificate is for, if it is not the host of --addr
    #[arg(global = true, long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub server_name: Option<String>,

    /// Show the server the first token of this file
    ///
    /// As the header `authorization: Bearer TOKEN`; without --tls only to this machine.
    #[arg(global = true, long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Send this header with each call
    ///
    /// A name that ends with -bin has its value in base64. May be given several times.
    #[arg(global = true, short = 'H', long, value_name = "NAME:VALUE")]
    pub header: Vec<Header>,
}

impl ClientSecurityArgs {
    /// What clap cannot see: what needs what, where one flag stands before a command and the other
    /// behind it, and two ways to say one thing.
    pub(super) fn check(&self) -> Result<(), String> {
        for (flag, given, needed, there) in [
            ("--ca", self.ca.is_some(), "--tls", self.tls),
            ("--cert", self.cert.is_some(), "--tls", self.tls),
            ("--cert", self.cert.is_some(), "--key", self.key.is_some()),
            ("--key", self.key.is_some(), "--cert", self.cert.is_some()),
            (
                "--server-name",
                self.server_name.is_some(),
                "--tls",
                self.tls,
            ),
        ] {
            super::needs(flag, given, needed, there)?;
        }
        if self.token_file.is_some() && self.authorizes() {
            let why = "--token-file sets the header `authorization`, and --header does as well";
            return Err(why.into());
        }
        Ok(())
    }

    fn authorizes(&self) -> bool {
        self.header
            .iter()
            .any(|header| header.name() == "authorization")
    }

    /// Blocks while the files are read.
    pub(super) fn tls(&self) -> Result<Option<ClientTls>, String> {
        if !self.tls {
            return Ok(None);
        }
        let authorities = match &self.ca {
            Some(path) => Some(Authorities::from_file(path).map_err(|e| format!("--ca: {e}"))?),
            None => None,
        };
        let identity = match (&self.cert, &self.key) {
            (Some(certificate), Some(key)) => Some(
                ClientIdentity::from_files(certificate, key).map_err(|error| match error.role {
                    FileRole::Key => format!("--key: {error}"),
                    _ => format!("--cert: {error}"),
                })?,
            ),
            _ => None,
        };
        Ok(Some(ClientTls {
            authorities,
            identity,
            server_name: self.server_name.clone(),
        }))
    }

    /// Blocks while the file is read.
    pub(super) fn token(&self) -> Result<Option<Token>, String> {
        let token = self.token_file.as_deref().map(Token::from_file);
        token
            .transpose()
            .map_err(|error| format!("--token-file: {error}"))
    }

    /// What is allowed, but should not be.
    pub(super) fn warnings(&self, in_the_clear: bool) -> Vec<String> {
        let mut warnings = Vec::new();
        for (flag, path) in [("--key", &self.key), ("--token-file", &self.token_file)] {
            if let Some(path) = path.as_ref().filter(|path| readable_by_others(path)) {
                warnings.push(super::open_to_others(flag, path));
            }
        }
        if in_the_clear && self.authorizes() {
            let why = "--header: `authorization` is sent in the clear, where others can read it";
            warnings.push(why.into());
        }
        warnings
    }
}
