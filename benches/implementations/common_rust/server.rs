//! Code that the servers in Rust share: the flags, the text of a response, and the audit of what
//! making one costs. It must not know any gRPC library; each server includes it by path.

#[path = "values.rs"]
mod values;

use std::io::{self, BufRead, Write};
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

    /// Make N responses without sending them, and exit; for the audit of scripts/compare
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub produce: Option<u32>,

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
    /// Replaces `text` by the result of response `k` to the request for `id`. An empty `text` costs
    /// one allocation, of the size of the result.
    pub fn write_text(&self, text: &mut String, k: u32, id: i32) {
        // Not `format!`, which costs several times as much.
        let (mut k_digits, mut id_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (k, id) = (k_digits.format(k), id_digits.format(id));
        let parts = ["Request #", k, " For Id:", id];
        let length: usize = parts.iter().map(|part| part.len()).sum();
        text.clear();
        text.reserve_exact(length.max(self.size));
        parts.iter().for_each(|part| text.push_str(part));
        if self.size > 0 {
            pad(text, self.size);
        }
    }

    /// The time from the request until response `k` is due.
    pub fn due(&self, k: u32) -> Duration {
        self.step.saturating_mul(k)
    }
}

/// Cuts or pads `text` to `size` bytes.
fn pad(text: &mut String, size: usize) {
    text.truncate(size);
    while text.len() < size {
        let missing = size - text.len();
        text.push_str(&DOTS[..missing.min(DOTS.len())]);
    }
}

/// Padding is copied in pieces of this. Dot by dot, 64 KiB would cost many times as much.
const DOTS: &str = match std::str::from_utf8(&[b'.'; 4096]) {
    Ok(dots) => dots,
    Err(_) => unreachable!(),
};

/// Makes `count` responses twice, without sending them: to warm up, and, after a line on standard
/// input, for the caller to measure. `respond` makes response k as a call does, and returns the
/// bytes of its result.
///
/// # Errors
/// Fails if the caller is gone.
pub fn produce(count: u32, respond: impl FnMut(u32) -> usize) -> io::Result<()> {
    produce_on(io::stdin().lock(), io::stdout(), count, respond)
}

fn produce_on(
    mut input: impl BufRead,
    mut output: impl Write,
    count: u32,
    mut respond: impl FnMut(u32) -> usize,
) -> io::Result<()> {
    let mut make = || (0..count).map(&mut respond).sum::<usize>();
    make();
    writeln!(output, "ready")?;
    output.flush()?;
    if input.read_line(&mut String::new())? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let bytes = make();
    writeln!(output, r#"{{"responses": {count}, "bytes": {bytes}}}"#)?;
    output.flush()?;
    io::copy(&mut input, &mut io::sink()).map(drop)
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

    fn text(size: &str, k: u32, id: i32) -> String {
        let mut text = String::new();
        let args = parse(&["--size", size]).unwrap();
        args.tutorial.write_text(&mut text, k, id);
        text
    }

    #[test]
    fn no_flags_are_the_tutorial() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.listen, ("localhost".into(), 50005));
        assert_eq!(args.tutorial.responses, 5);
        assert_eq!(args.tutorial.due(4), Duration::from_secs(4));
        let mut text = "of the previous response".into();
        args.tutorial.write_text(&mut text, 3, -7);
        assert_eq!(text, "Request #3 For Id:-7");
    }

    #[test]
    fn a_size_is_kept_to_the_byte() {
        assert_eq!(text("9", 0, 1), "Request #");
        assert_eq!(text("22", 0, 1), "Request #0 For Id:1...");
        assert_eq!(text("65536", 0, 1).trim_end_matches('.').len(), 19);
        assert_eq!(text("65536", 0, 1).len(), 65536);
    }

    #[test]
    fn a_text_has_no_spare_capacity() {
        for (size, capacity) in [("0", 23), ("9", 23), ("65536", 65536)] {
            assert_eq!(text(size, 12, -345).capacity(), capacity);
        }
    }

    #[test]
    fn responses_are_produced_once_more_after_a_line() {
        let (mut made, mut output) = (Vec::new(), Vec::new());
        let respond = |k| {
            made.push(k);
            10
        };
        produce_on(&b"\n"[..], &mut output, 3, respond).unwrap();
        assert_eq!(made, [0, 1, 2, 0, 1, 2]);
        let expected = "ready\n{\"responses\": 3, \"bytes\": 30}\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
        assert!(produce_on(&b""[..], Vec::new(), 1, |_| 1).is_err());
    }

    #[test]
    fn wrong_flags_are_named() {
        for wrong in [
            "--listen=localhost",
            "--step=5",
            "--responses=-1",
            "--size=a",
            "--produce=0",
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
