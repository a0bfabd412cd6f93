//! Defines and validates the flags of a load client. It makes no connection.

#[path = "../values.rs"]
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use values::{duration, pem};

/// Makes calls of the tutorial's StreamService and prints a summary as a line of JSON.
///
/// It prints `ready` and waits for a line on standard input before the measured calls, and for the
/// end of standard input after them. Exit codes: 0; 1 if a call ended with another status than OK;
/// 2 for wrong usage.
#[derive(Clone, Debug, Parser)]
#[command(name = "load")]
pub struct LoadArgs {
    /// The server
    #[arg(long, value_name = "HOST:PORT", value_parser = address)]
    pub addr: String,

    /// Call i asks for id N + i
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    pub id: i32,

    /// Calls in all
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(1))]
    pub calls: usize,

    /// Calls open at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(1))]
    pub in_flight: usize,

    /// TCP connections; the calls take turns on them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = count(1))]
    pub connections: usize,

    /// Spread the starts of the calls over this
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub ramp: Duration,

    /// Warm-up calls before the measured ones [default: one for each connection]
    #[arg(long, value_name = "N", value_parser = count(0))]
    pub warm_up: Option<usize>,

    /// The server's --step: adds the lateness of each response to the summary
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub step: Option<Duration>,

    /// Print each response as `ID<TAB>RESULT`
    #[arg(long)]
    pub print: bool,

    /// Add the time to each first response, and between responses, to the summary
    #[arg(long)]
    pub samples: bool,

    /// Open all calls, take the first response of each, and read no further until standard input
    /// ends
    #[arg(long)]
    pub stall: bool,

    /// The initial HTTP/2 window of each stream; 0 is the library's default
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = window())]
    pub window: u32,

    /// Connect with TLS and trust only this authority (PEM)
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// The name in the server's certificate [default: the host of --addr]
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    pub server_name: Option<String>,
}

impl LoadArgs {
    /// Parses the command line; exits if it is wrong.
    pub fn from_command_line() -> LoadArgs {
        let args = LoadArgs::parse();
        match args.contradiction() {
            None => args,
            Some(message) => LoadArgs::command()
                .error(ErrorKind::ValueValidation, message)
                .exit(),
        }
    }

    fn contradiction(&self) -> Option<String> {
        let last = i32::try_from(self.calls - 1).ok();
        if last.and_then(|last| self.id.checked_add(last)).is_none() {
            return Some("--id and --calls: the last id exceeds an int32".into());
        }
        None
    }

    /// The certificate of the authority, for TLS.
    ///
    /// # Errors
    /// Returns a message for the user if the file has no certificate.
    pub fn authority(&self) -> Result<Option<String>, String> {
        let read = |file| pem("--tls-ca", file, "CERTIFICATE");
        self.tls_ca.as_deref().map(read).transpose()
    }
}

fn count(least: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=i32::MAX as u64)
}

/// A connection's window is four times as large and must not exceed 2^31 - 1.
fn window() -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(0..=(i32::MAX as u64) / 4)
}

fn address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.into()),
        _ => Err("write it as HOST:PORT or [IPV6]:PORT".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn parse(flags: &[&str]) -> Result<LoadArgs, clap::Error> {
        LoadArgs::try_parse_from([&["load", "--addr", "127.0.0.1:1"], flags].concat())
    }

    #[test]
    fn wrong_values_name_their_flag() {
        for wrong in [
            "--calls=0",
            "--in-flight=0",
            "--connections=no",
            "--ramp=soon",
            "--step=5",
            "--warm-up=-1",
            "--window=536870912",
            "--addr=localhost",
            "--addr=:80",
        ] {
            let error = parse(&[wrong]).unwrap_err();
            let (flag, _) = wrong.split_once('=').unwrap();
            assert!(error.to_string().contains(flag), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert!(parse(&["--server-name", "a"]).is_err());
        assert_eq!(parse(&["--id", "-7"]).unwrap().id, -7);
    }

    #[test]
    fn contradictions_are_told() {
        let of = |flags: &[&str]| parse(flags).unwrap().contradiction().unwrap_or_default();
        assert!(of(&["--id=2147483647", "--calls=2"]).contains("--id"));
        assert_eq!(of(&["--id=2147483647"]), "");
    }

    #[test]
    fn an_authority_is_a_certificate() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_string();
        let read = || parse(&["--tls-ca", &path]).unwrap().authority();
        let error = read().unwrap_err();
        assert!(
            error.contains("--tls-ca") && error.contains(&path),
            "{error}"
        );
        file.write_all(b"-----BEGIN CERTIFICATE-----").unwrap();
        assert!(read().unwrap().is_some());
        let error = parse(&["--tls-ca", "/no/such/file"]).unwrap().authority();
        assert!(error.unwrap_err().contains("/no/such/file"));
        assert_eq!(parse(&[]).unwrap().authority(), Ok(None));
    }
}
