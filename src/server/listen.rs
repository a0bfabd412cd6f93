//! Binds a grpcio server to an [`Address`] and finds the reason of a failure. It must not know the
//! services.
//!
//! The C-core reports a failure without a reason, and it would share a port or take over a socket
//! file that another server uses. So this file resolves names, binds each address of a name
//! separately, and after a failure binds again with the standard library to get the reason.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use grpcio::{Server, ServerCredentials};

use crate::address::{unix_uri, Address};

/// Attempts to find a port that is free on all addresses of a host name.
const MAX_PORT_ATTEMPTS: u32 = 16;

/// An address cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The host name cannot be resolved.
    #[error("cannot resolve `{host}`: {reason}")]
    Resolve {
        /// The configured name.
        host: String,
        /// The resolver's error.
        reason: io::Error,
    },
    /// The address is in use, not permitted, or does not belong to this machine.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// The resolved address.
        address: String,
        /// The system's error.
        reason: io::Error,
    },
}

/// A bound address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The configured address. A port 0 is replaced by the chosen port.
    pub address: Address,
    /// True if other machines can reach it.
    pub exposed: bool,
}

/// Makes the credentials of one port.
pub type Credentials<'a> = &'a dyn Fn() -> ServerCredentials;

/// Binds `server`, before its start, to `address`, with new `credentials` for each port.
///
/// For a host name, binds all of its addresses that belong to this machine. Blocks while the name
/// is resolved.
///
/// # Errors
/// [`ListenError`] if no address could be bound, or one address of the name is in use.
pub fn bind(
    server: &mut Server,
    address: &Address,
    credentials: Credentials<'_>,
) -> Result<Bound, ListenError> {
    match address {
        Address::Unix(path) => bind_unix(server, path, credentials),
        Address::Tcp { host, port } => {
            let hosts = resolve(host, *port)?;
            let port = bind_tcp(server, &hosts, *port, credentials)?;
            Ok(Bound {
                address: Address::Tcp {
                    host: host.clone(),
                    port,
                },
                exposed: !hosts.iter().all(IpAddr::is_loopback),
            })
        }
    }
}

/// Checks without binding that a host name resolves, or that the directory of a socket exists.
/// Blocks while the name is resolved.
pub(super) fn check(address: &Address) -> Result<(), ListenError> {
    match address {
        Address::Tcp { host, port } => resolve(host, *port).map(drop),
        Address::Unix(path) => {
            let directory = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            let found = std::fs::metadata(directory.unwrap_or(Path::new(".")));
            found.map(drop).map_err(|reason| refused(address, reason))
        }
    }
}

fn resolve(host: &str, port: u16) -> Result<Vec<IpAddr>, ListenError> {
    if host.is_empty() {
        // All addresses. With IPv6, one socket serves both families.
        let v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let any = match TcpListener::bind((v6, 0)) {
            Ok(_) => v6,
            Err(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        return Ok(vec![any]);
    }
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|reason| ListenError::Resolve {
            host: host.into(),
            reason,
        })?;
    let mut hosts: Vec<IpAddr> = Vec::new();
    for address in found {
        if !hosts.contains(&address.ip()) {
            hosts.push(address.ip());
        }
    }
    Ok(hosts)
}

/// Binds the `hosts` that belong to this machine, all at one port, and returns the port.
fn bind_tcp(
    server: &mut Server,
    hosts: &[IpAddr],
    port: u16,
    credentials: Credentials<'_>,
) -> Result<u16, ListenError> {
    let mut absent = None;
    let mut port = match port {
        0 => free_port(hosts)?,
        port => port,
    };
    let mut bound = false;
    for &host in hosts {
        let address = SocketAddr::new(host, port);
        match server.add_listening_port(address.to_string(), credentials()) {
            Ok(actual) => {
                bound = true;
                port = actual;
            }
            Err(_) => match TcpListener::bind(address) {
                // `localhost` often includes ::1 on machines without IPv6.
                Err(reason) if reason.kind() == io::ErrorKind::AddrNotAvailable => {
                    absent = Some(refused(address, reason));
                }
                Err(reason) => return Err(refused(address, reason)),
                Ok(_) => {
                    let reason = io::Error::other(
                        "the C-core refused it; its log at level debug has the reason",
                    );
                    return Err(refused(address, reason));
                }
            },
        }
    }
    match absent {
        Some(error) if !bound => Err(error),
        _ => Ok(port),
    }
}

/// Returns a port that is free on all `hosts`. Another process may take it before it is bound.
fn free_port(hosts: &[IpAddr]) -> Result<u16, ListenError> {
    // For one address, the system chooses when binding.
    if hosts.len() < 2 {
        return Ok(0);
    }
    let mut last = None;
    for _ in 0..MAX_PORT_ATTEMPTS {
        match port_free_on_all(hosts) {
            Ok(port) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(0), Err)
}

fn port_free_on_all(hosts: &[IpAddr]) -> Result<u16, ListenError> {
    let mut port = 0;
    let mut held = Vec::new();
    for &host in hosts {
        let address = SocketAddr::new(host, port);
        match TcpListener::bind(address).and_then(|l| Ok((l.local_addr()?.port(), l))) {
            Ok((actual, listener)) => {
                port = actual;
                held.push(listener);
            }
            Err(reason) if reason.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(reason) => return Err(refused(address, reason)),
        }
    }
    Ok(port)
}

fn bind_unix(
    server: &mut Server,
    path: &Path,
    credentials: Credentials<'_>,
) -> Result<Bound, ListenError> {
    let address = Address::Unix(path.into());
    let refuse = |reason| Err(refused(&address, reason));
    // The C-core removes an existing socket, even one that another server listens on.
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return refuse(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file of that name exists and is no socket",
            ));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return refuse(io::ErrorKind::AddrInUse.into());
        }
        Ok(_) | Err(_) => {}
    }
    match server.add_listening_port(unix_uri(path), credentials()) {
        Ok(_) => Ok(Bound {
            address,
            exposed: false,
        }),
        Err(_) => match UnixListener::bind(path) {
            Err(reason) => refuse(reason),
            Ok(_) => {
                let _ = std::fs::remove_file(path);
                refuse(io::Error::other(
                    "the C-core refused it; its log at level debug has the reason",
                ))
            }
        },
    }
}

fn refused(address: impl ToString, reason: io::Error) -> ListenError {
    ListenError::Bind {
        address: address.to_string(),
        reason,
    }
}
