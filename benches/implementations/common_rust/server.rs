//! Code that the servers in Rust share: the flags and the text of a response. It must not know any
//! gRPC library; each server includes it by path.

#[path = "values.rs"]
mod values;

use std::iter;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use values::{duration, pem};

/// Serves the tutorial's StreamService, until SIGTERM.
#[derive(Clone, Debug, Parser)]
#[command(name = "server")]
pub struct ServerArgs {
    /// The address to listen on; port 0 picks a port
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:50005", value_parser = address)]
    pub listen: (String, u16),

    #[command(flatten)]
    pub tutorial: Tutorial,

    /// Ignored: these servers log nothing; all servers accept the flag
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    _log_level: String,

    /// Serve TLS with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// The responses to each request.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Tutorial {
    /// Responses to each request
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub responses: u32,

    /// Response k is due after k steps; 0s sends as fast as the client reads
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub step: Duration,

    /// Bytes of each result, padded with dots; 0 is the tutorial's text
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub size: usize,
}

/// A certificate and its key, in PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl ServerArgs {
    /// The server's certificate and key, if it serves TLS.
    ///
    /// # Errors
    /// Returns a message for the user if a file is unusable.
    pub fn identity(&self) -> Result<Option<Identity>, String> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some(Identity {
                certificate: pem("--tls-cert", certificate, "CERTIFICATE")?,
                key: pem("--tls-key", key, "PRIVATE KEY")?,
            })),
            _ => Ok(None),
        }
    }
}

impl Tutorial {
    /// Formats the result of response `k` to the request for `id`.
    pub fn text(&self, k: u32, id: i32) -> String {
        let mut text = format!("Request #{k} For Id:{id}");
        if self.size > 0 {
            text.truncate(self.size);
            text.extend(iter::repeat_n('.', self.size - text.len()));
        }
        text
    }

    /// The time from the request until response `k` is due.
    pub fn due(&self, k: u32) -> Duration {
        self.step.saturating_mul(k)
    }
}

fn address(text: &str) -> Result<(String, u16), String> {
    let split = text.rsplit_once(':');
    let parsed = split.and_then(|(host, port)| Some((host.to_string(), port.parse().ok()?)));
    parsed.ok_or_else(|| "write it as HOST:PORT or [IPV6]:PORT".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Result<ServerArgs, clap::Error> {
        ServerArgs::try_parse_from([&["server"], flags].concat())
    }

    #[test]
    fn no_flags_are_the_tutorial() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.listen, ("localhost".into(), 50005));
        assert_eq!(args.tutorial.responses, 5);
        assert_eq!(args.tutorial.due(4), Duration::from_secs(4));
        assert_eq!(args.tutorial.text(3, -7), "Request #3 For Id:-7");
    }

    #[test]
    fn a_size_is_kept_to_the_byte() {
        let text = |size: &str| parse(&["--size", size]).unwrap().tutorial.text(0, 1);
        assert_eq!(text("9"), "Request #");
        assert_eq!(text("22"), "Request #0 For Id:1...");
    }

    #[test]
    fn wrong_flags_are_named() {
        for wrong in [
            "--listen=localhost",
            "--step=5",
            "--responses=-1",
            "--size=a",
        ] {
            let error = parse(&[wrong]).unwrap_err();
            let (flag, _) = wrong.split_once('=').unwrap();
            assert!(error.to_string().contains(flag), "{error}");
        }
        assert!(parse(&["--tls-cert", "a"]).is_err());
        let missing = parse(&["--tls-cert", "/no/such", "--tls-key", "/no/such"]).unwrap();
        let error = missing.identity().err().unwrap();
        assert!(error.contains("--tls-cert /no/such"), "{error}");
    }
}
