//! Parses and prints addresses of servers: `host:port`, `[::1]:port`, `unix:path`. It must not
//! resolve or bind them.

use std::convert::Infallible;
use std::fmt::{self, Write};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An address to listen on or to connect to. A host name is not resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or IP address, and a port.
    Tcp {
        /// Without the brackets of an IPv6 address, but with its zone, as in `fe80::1%eth0`. Empty
        /// means all addresses of the machine.
        host: String,
        /// 0 lets the system choose a port.
        port: u16,
    },
    /// The path of a Unix-domain socket.
    Unix(PathBuf),
}

impl Address {
    /// Returns `localhost:50005`, the address of the tutorial's server.
    pub fn tutorial() -> Address {
        Address::Tcp {
            host: "localhost".into(),
            port: 50005,
        }
    }

    /// Returns the port of a TCP address.
    pub fn port(&self) -> Option<u16> {
        match self {
            Address::Tcp { port, .. } => Some(*port),
            Address::Unix(_) => None,
        }
    }

    /// Returns true if the address is on this machine. No proxy is used for it, and its traffic does
    /// not leave the machine.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Address::Unix(_) => true,
            Address::Tcp { host, .. } => match host.parse::<IpAddr>() {
                Ok(ip) => ip.is_loopback() || ip.is_unspecified(),
                Err(_) => host == "localhost" || host.ends_with(".localhost"),
            },
        }
    }
}

/// A text is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The port is missing.
    #[error("`{0}` has no port: an address is HOST:PORT, [IPV6]:PORT or unix:PATH")]
    NoPort(String),
    /// The port is not a number from 0 to 65535.
    #[error("`{0}` is no port: it must be a number from 0 to 65535")]
    BadPort(String),
    /// An IPv6 address has no brackets.
    #[error("`{0}` looks like an IPv6 address: write it in brackets, as in [::1]:50005")]
    NoBrackets(String),
    /// The path after `unix:` is missing.
    #[error("`unix:` needs the path of a socket, as in unix:/run/server.sock")]
    NoPath,
    /// The path of a socket contains a NUL byte.
    #[error("the path of a socket cannot contain a NUL byte")]
    NulInPath,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(AddressError::NoPath),
                path if path.contains('\0') => Err(AddressError::NulInPath),
                path => Ok(Address::Unix(path.into())),
            };
        }
        let no_port = || AddressError::NoPort(text.into());
        let (host, port) = text.rsplit_once(':').ok_or_else(no_port)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or_else(no_port)?,
            None if host.contains(':') => return Err(AddressError::NoBrackets(text.into())),
            None => host,
        };
        let port = port
            .parse()
            .map_err(|_| AddressError::BadPort(port.into()))?;
        Ok(Address::Tcp {
            host: host.into(),
            port,
        })
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Address {
        address.clone()
    }
}

impl TryFrom<&str> for Address {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Address, AddressError> {
        text.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Address, AddressError> {
        text.parse()
    }
}

impl From<Infallible> for AddressError {
    /// For functions that take an [`Address`] or a text.
    fn from(never: Infallible) -> AddressError {
        match never {}
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Returns the C-core's URI of a Unix-domain socket. The C-core unescapes it, on servers and
/// clients, so the path must be escaped.
pub(crate) fn unix_uri(path: &Path) -> String {
    format!("unix:{}", escape(path.as_os_str().as_bytes()))
}

/// Escapes every byte with a meaning in the path of a URI.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            escaped.push(byte.into());
        } else {
            let _ = write!(escaped, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Result<Address, AddressError> {
        Ok(Address::Tcp {
            host: host.into(),
            port,
        })
    }

    #[test]
    fn valid_addresses() {
        assert_eq!("localhost:50005".parse(), Ok(Address::tutorial()));
        assert_eq!("127.0.0.1:0".parse(), tcp("127.0.0.1", 0));
        assert_eq!("[::1]:80".parse(), tcp("::1", 80));
        assert_eq!(":80".parse(), tcp("", 80));
        assert_eq!("unix:/a/b".parse(), Ok(Address::Unix("/a/b".into())));
    }

    #[test]
    fn errors_name_the_fault() {
        let error = |text: &str| text.parse::<Address>().unwrap_err().to_string();
        assert!(error("localhost").contains("`localhost` has no port"));
        assert!(error("localhost:http").contains("`http` is no port"));
        assert!(error("a:65536").contains("`65536` is no port"));
        assert!(error("::1:80").contains("in brackets"));
        assert!(error("[::1:80").contains("has no port"));
        assert!(error("unix:").contains("path"));
        assert!(error("unix:/a\0b").contains("NUL"));
    }

    #[test]
    fn loopback_and_sockets_are_local() {
        let is_local = |text: &str| text.parse::<Address>().unwrap().is_local();
        for local in ["localhost:1", "127.0.0.2:1", "[::1]:1", "unix:/a"] {
            assert!(is_local(local), "{local}");
        }
        assert!(!is_local("example.com:1"));
        assert!(!is_local("192.0.2.1:1"));
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!(unix_uri("/run/a%41".as_ref()), "unix:/run/a%2541");
        assert_eq!(unix_uri("a b?c".as_ref()), "unix:a%20b%3Fc");
    }

    #[test]
    fn addresses_print_as_they_parse() {
        let zone = "[fe80::1%eth0]:80";
        for text in ["localhost:50005", "[::1]:80", zone, ":80", "unix:/a/b"] {
            let address = Address::try_from(text).unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(Address::try_from(text.to_owned()), Ok(address));
        }
    }
}
