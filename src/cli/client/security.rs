//! The client's flags for TLS, tokens and headers: which belong together, and errors that name the flag
//! of a file. It reads the files.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::Args;

use crate::cli::common::{needs, readable_secrets};
use crate::client::Header;
use crate::security::{Authorities, ClientIdentity, ClientTls, FileRole, Token};

/// The server's authorities, and the client's credentials.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Security")]
pub struct ClientSecurityArgs {
    /// Connect over TLS; without --ca the system's authorities are trusted
    #[arg(global = true, long)]
    pub tls: bool,

    /// Trust these authorities instead of the system's (PEM)
    #[arg(global = true, long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// The client's certificate, for mutual TLS (PEM)
    ///
    /// Intermediate certificates follow in the same file.
    #[arg(global = true, long, value_name = "FILE")]
    pub cert: Option<PathBuf>,

    /// The private key of --cert (PEM, without a passphrase)
    #[arg(global = true, long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// The name in the server's certificate, if it is not the host of --addr
    #[arg(global = true, long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub server_name: Option<String>,

    /// Send the first token of this file
    ///
    /// The header is `authorization: Bearer TOKEN`. Without --tls it is sent to this machine only.
    #[arg(global = true, long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Send this header with each call
    ///
    /// The value of a name that ends with -bin is base64. May be repeated.
    #[arg(global = true, short = 'H', long, value_name = "NAME:VALUE")]
    pub header: Vec<Header>,
}

impl ClientSecurityArgs {
    /// Checks that clap cannot make: flags that need each other before and behind a command, and two
    /// sources of one header.
    pub(super) fn check(&self) -> Result<(), String> {
        for (flag, given, needed, present) in [
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
            needs(flag, given, needed, present)?;
        }
        if self.token_file.is_some() && self.has_authorization_header() {
            return Err("--token-file and --header both set the header `authorization`".into());
        }
        Ok(())
    }

    fn has_authorization_header(&self) -> bool {
        self.header
            .iter()
            .any(|header| header.name() == "authorization")
    }

    /// Blocks while it reads the files.
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

    /// Blocks while it reads the file.
    pub(super) fn token(&self) -> Result<Option<Token>, String> {
        let token = self.token_file.as_deref().map(Token::from_file);
        token
            .transpose()
            .map_err(|error| format!("--token-file: {error}"))
    }

    /// Warnings about secrets that others can read.
    pub(super) fn warnings(&self, in_the_clear: bool) -> Vec<String> {
        let mut warnings =
            readable_secrets([("--key", &self.key), ("--token-file", &self.token_file)]);
        if in_the_clear && self.has_authorization_header() {
            let text = "--header: `authorization` is sent unencrypted, and can be read on the way";
            warnings.push(text.into());
        }
        warnings
    }
}
