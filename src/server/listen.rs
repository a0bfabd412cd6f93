//! Binds a grpcio server to an [`Address`], with the reason when that fails. It must not know what is
//! served.
//!
//! The C-core only reports that it could not bind, and it would share a port or take over a socket
//! file that another server uses. So names are resolved here, each address of a name is bound
//! separately, and after a failure the standard library tries again to learn the reason.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use grpcio::{Server, ServerCredentials};

use crate::address::{unix_uri, Address};

/// Attempts to find a port that is free on all addresses of a name.
const PORT_ATTEMPTS: u32 = 16;

/// A server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The host name is unknown.
    #[error("cannot resolve `{host}`: {reason}")]
    Resolve {
        /// The configured name.
        host: String,
        /// The resolver's error.
        reason: io::Error,
    },
    /// The address is in use, not permitted, or not of this machine.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// The address, resolved.
        address: String,
        /// The system's error.
        reason: io::Error,
    },
}

/// The address that a server listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The configured address, with the port that the system chose.
    pub address: Address,
    /// Other machines can reach it.
    pub exposed: bool,
}

/// Makes the credentials for one port.
pub type Credentials<'a> = &'a dyn Fn() -> ServerCredentials;

/// Binds `server`, which must not have been started, to `address`, with `credentials` for each
/// port.
///
/// A host name is bound at all of its addresses that this machine has. Blocks while a name is
/// resolved.
///
/// # Errors
/// When nothing could be bound, or any address of the name is in use.
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

/// Checks that the name of an address resolves, or that the directory of its path exists. Blocks
/// while a name is resolved, and binds nothing.
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
        // All addresses: one IPv6 socket serves both families, where there is IPv6.
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

/// Binds those of `hosts` that this machine has to one port, and returns the port.
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
                // `localhost` is often ::1 too on machines without IPv6.
                Err(reason) if reason.kind() == io::ErrorKind::AddrNotAvailable => {
                    absent = Some(refused(address, reason));
                }
                Err(reason) => return Err(refused(address, reason)),
                Ok(_) => {
                    let reason = io::Error::other(
                        "the C-core refused it; its log, from debug on, says more",
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

/// A port that is free on all of `hosts` now; another process may still take it.
fn free_port(hosts: &[IpAddr]) -> Result<u16, ListenError> {
    // For one address the system's choice is enough.
    if hosts.len() < 2 {
        return Ok(0);
    }
    let mut last = None;
    for _ in 0..PORT_ATTEMPTS {
        match common_port(hosts) {
            Ok(port) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(0), Err)
}

fn common_port(hosts: &[IpAddr]) -> Result<u16, ListenError> {
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
                "there is a file of that name that is no socket",
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
                    "the C-core refused it; its log, from debug on, says more",
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
